// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_LIMITS_H_
#define ATTEND_SERVER_CODEC_LIMITS_H_

#include <cstddef>

namespace attend {

// Bounds of lists that take more memory than they have bytes on the wire, and of names.
inline constexpr size_t kMaxSequences = 65536;
inline constexpr size_t kMaxHeads = 65536;
inline constexpr size_t kMaxNameBytes = 256;

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_LIMITS_H_
