// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_PRIORITY_H_
#define ATTEND_CORE_BATCHING_PRIORITY_H_

#include <cstdint>

namespace attend {

// How urgent a request is. High is served before normal and normal before low, but nothing waits
// for ever: a request that has waited long enough is served as the next higher priority.
enum class Priority : uint8_t { kHigh, kNormal, kLow };

inline constexpr int kPriorities = 3;

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_PRIORITY_H_
