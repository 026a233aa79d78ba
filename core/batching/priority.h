// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_PRIORITY_H_
#define ATTEND_CORE_BATCHING_PRIORITY_H_

#include <cstdint>

namespace attend {

// How urgent a request is. The most urgent comes first, so that a smaller value is served
// earlier; the values index arrays of kPriorities elements.
enum class Priority : uint8_t { kHigh, kNormal, kLow };
inline constexpr int kPriorities = 3;

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_PRIORITY_H_
