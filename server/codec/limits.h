// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_LIMITS_H_
#define ATTEND_SERVER_CODEC_LIMITS_H_

#include <cstddef>

namespace attend {

// The length of a layer's name in a request.
inline constexpr size_t kMaxNameBytes = 256;

// More axes than any operand has; a bound for what a hostile shape may hold.
inline constexpr size_t kMaxRank = 8;

// A frame of a pipeline has three fields, and a timeout two; the rest is for fields that this
// server does not know.
inline constexpr size_t kMaxFrameFields = 1000;

// Bounds of lists that take more memory than they have bytes on the wire. The engine takes no
// longer ones.
struct DecodeLimits {
  size_t max_sequences = 0;  // of query_lengths, key_lengths and query_offsets
  size_t max_heads = 0;      // of sinks and head_gates

  // Bounds the time that a message takes to decode, because a field may have only two bytes: a
  // message of 256 MiB holds 134 million of them. No request has nearly so many, not even one
  // that sends each element of its five lists as a field of its own.
  size_t MaxFields() const { return 10'000 + 3 * max_sequences + 2 * max_heads; }
};

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_LIMITS_H_
