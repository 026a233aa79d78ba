#ifndef ATTEND_CORE_WEIGHTS_WIDEN_H_
#define ATTEND_CORE_WEIGHTS_WIDEN_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"

namespace attend {

// Exact: every value of the narrow types is a float32.

inline float WidenFloat16(uint16_t half) {
  const int exponent = (half >> 10) & 0x1f;
  const auto fraction = static_cast<float>(half & 0x3ff);
  float magnitude;
  if (exponent == 0x1f) {
    magnitude = fraction == 0 ? std::numeric_limits<float>::infinity()
                              : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(fraction, -24);
  } else {
    magnitude = std::ldexp(fraction + 1024.0f, exponent - 25);
  }
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

inline float WidenBFloat16(uint16_t half) {
  return std::bit_cast<float>(static_cast<uint32_t>(half) << 16);
}

inline std::vector<float> WidenFloat16(absl::Span<const uint16_t> halves) {
  std::vector<float> wide;
  wide.reserve(halves.size());
  for (const uint16_t half : halves) wide.push_back(WidenFloat16(half));
  return wide;
}

inline std::vector<float> WidenBFloat16(absl::Span<const uint16_t> halves) {
  std::vector<float> wide;
  wide.reserve(halves.size());
  for (const uint16_t half : halves) wide.push_back(WidenBFloat16(half));
  return wide;
}

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_WIDEN_H_
