// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_FLOAT16_H_
#define ATTEND_CLIENT_CPP_ATTEND_FLOAT16_H_

// The two 16-bit float types of the wire. They carry bits, no arithmetic:
// convert to float to compute.

#include <cstdint>

#include "absl/types/span.h"

namespace attend::client {

// The upper half of an IEEE 754 binary32.
struct BFloat16 {
  uint16_t bits = 0;
};

// IEEE 754 binary16.
struct Float16 {
  uint16_t bits = 0;
};

// Round to nearest, ties to even. NaN stays NaN (quiet); what is too large
// becomes infinite.
BFloat16 ToBFloat16(float value);
Float16 ToFloat16(float value);

// Exact.
float ToFloat(BFloat16 value);
float ToFloat(Float16 value);

// The same for arrays. `to` must have the length of `from` (checked, aborts).
void Convert(absl::Span<const float> from, absl::Span<BFloat16> to);
void Convert(absl::Span<const float> from, absl::Span<Float16> to);
void Convert(absl::Span<const BFloat16> from, absl::Span<float> to);
void Convert(absl::Span<const Float16> from, absl::Span<float> to);

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_FLOAT16_H_
