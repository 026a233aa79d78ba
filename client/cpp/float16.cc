// SPDX-License-Identifier: Apache-2.0
#include "attend/float16.h"

#include <bit>
#include <cstdio>
#include <cstdlib>

namespace attend::client {
namespace {

template <typename From, typename To, typename Function>
void ConvertEach(absl::Span<const From> from, absl::Span<To> to, Function convert) {
  if (from.size() != to.size()) {
    std::fprintf(stderr, "attend::client::Convert: %zu values into %zu\n", from.size(), to.size());
    std::abort();
  }
  for (size_t i = 0; i < from.size(); ++i) to[i] = convert(from[i]);
}

}  // namespace

BFloat16 ToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  // Adding half a unit, less one where the kept part is even, rounds ties to even.
  return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

float ToFloat(BFloat16 value) {
  return std::bit_cast<float>(uint32_t{value.bits} << 16);
}

Float16 ToFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  uint32_t magnitude = bits & 0x7fffffff;
  uint32_t half;
  if (magnitude > 0x7f800000) {
    half = 0x7e00;
  } else if (magnitude >= 0x47800000) {  // 2^16 and above
    half = 0x7c00;
  } else if (magnitude < 0x38800000) {  // below 2^-14: subnormal or zero
    // Adding 0.5 puts the subnormal's bits, rounded by the FPU, at the low end.
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
  } else {
    // The carry of rounding may run into the exponent, up to infinity: as it must.
    magnitude += 0xfff + ((magnitude >> 13) & 1);
    half = (magnitude - 0x38000000) >> 13;
  }
  return {static_cast<uint16_t>(sign | half)};
}

float ToFloat(Float16 value) {
  const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  const uint32_t exponent = (value.bits >> 10) & 0x1f;
  const uint32_t fraction = value.bits & 0x3ffu;
  uint32_t magnitude;
  if (exponent == 0) {
    // Subnormal: fraction * 2^-24, exact in float.
    magnitude = std::bit_cast<uint32_t>(static_cast<float>(fraction) * 0x1p-24f);
  } else if (exponent == 31) {
    magnitude = 0x7f800000 | (fraction << 13);
  } else {
    magnitude = ((exponent + 112) << 23) | (fraction << 13);
  }
  return std::bit_cast<float>(sign | magnitude);
}

void Convert(absl::Span<const float> from, absl::Span<BFloat16> to) {
  ConvertEach(from, to, [](float x) { return ToBFloat16(x); });
}
void Convert(absl::Span<const float> from, absl::Span<Float16> to) {
  ConvertEach(from, to, [](float x) { return ToFloat16(x); });
}
void Convert(absl::Span<const BFloat16> from, absl::Span<float> to) {
  ConvertEach(from, to, [](BFloat16 x) { return ToFloat(x); });
}
void Convert(absl::Span<const Float16> from, absl::Span<float> to) {
  ConvertEach(from, to, [](Float16 x) { return ToFloat(x); });
}

}  // namespace attend::client
