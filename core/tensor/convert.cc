// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/convert.h"

#include <algorithm>
#include <cstring>

#include "core/simd/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/tensor/convert.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/simd/bfloat16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Highway's emulation of half precision below AVX2 does not keep infinities and
// NaN, so those targets convert element by element.
#undef ATTEND_NATIVE_F16
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
#define ATTEND_NATIVE_F16 1
#else
#define ATTEND_NATIVE_F16 0
#endif

int64_t WidenBFloat16(const uint16_t* source, float* destination, int64_t n) {
  const hn::ScalableTag<float> df;
  const hn::RebindToUnsigned<decltype(df)> du;
  const hn::Rebind<uint16_t, decltype(df)> dh;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto wide = hn::PromoteTo(du, hn::LoadU(dh, source + i));
    hn::StoreU(hn::BitCast(df, hn::ShiftLeft<16>(wide)), df, destination + i);
  }
  return i;
}

int64_t NarrowBFloat16(const float* source, uint16_t* destination, int64_t n) {
  const hn::ScalableTag<float> df;
  const hn::Rebind<uint16_t, decltype(df)> dh;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(RoundToBFloat16(hn::LoadU(df, source + i)), dh, destination + i);
  }
  return i;
}

int64_t WidenFloat16(const uint16_t* source, float* destination, int64_t n) {
#if ATTEND_NATIVE_F16
  const hn::ScalableTag<float> df;
  const hn::Rebind<hwy::float16_t, decltype(df)> dh;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto half = hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(source) + i);
    hn::StoreU(hn::PromoteTo(df, half), df, destination + i);
  }
  return i;
#else
  (void)source, (void)destination, (void)n;
  return 0;
#endif
}

int64_t NarrowFloat16(const float* source, uint16_t* destination, int64_t n) {
#if ATTEND_NATIVE_F16
  const hn::ScalableTag<float> df;
  const hn::Rebind<hwy::float16_t, decltype(df)> dh;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto half = hn::DemoteTo(dh, hn::LoadU(df, source + i));
    hn::StoreU(half, dh, reinterpret_cast<hwy::float16_t*>(destination) + i);
  }
  return i;
#else
  (void)source, (void)destination, (void)n;
  return 0;
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend {
namespace internal {

// Each function converts whole vectors from the front and returns the number of elements.
HWY_EXPORT(WidenBFloat16);
HWY_EXPORT(NarrowBFloat16);
HWY_EXPORT(WidenFloat16);
HWY_EXPORT(NarrowFloat16);

int64_t WidenVectors(DataType type, const uint16_t* source, float* destination, int64_t n) {
  return type == DataType::kBFloat16 ? ATTEND_DISPATCH(WidenBFloat16)(source, destination, n)
                                     : ATTEND_DISPATCH(WidenFloat16)(source, destination, n);
}

int64_t NarrowVectors(const float* source, DataType type, uint16_t* destination, int64_t n) {
  return type == DataType::kBFloat16 ? ATTEND_DISPATCH(NarrowBFloat16)(source, destination, n)
                                     : ATTEND_DISPATCH(NarrowFloat16)(source, destination, n);
}

}  // namespace internal
namespace {

uint32_t Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace

float BFloat16ToFloat(uint16_t bits) {
  return FromBits(uint32_t{bits} << 16);
}

uint16_t FloatToBFloat16(float value) {
  const uint32_t bits = Bits(value);
  if (value != value) return static_cast<uint16_t>((bits | 0x400000) >> 16);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float Float16ToFloat(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t mantissa = half & 0x3ff;
  if (exponent == 31) return FromBits(sign | 0x7f800000 | (mantissa << 13));
  if (exponent != 0) return FromBits(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // subnormal: exact
  return FromBits(sign | Bits(magnitude));
}

uint16_t FloatToFloat16(float value) {
  const uint32_t bits = Bits(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  uint32_t half;
  if (magnitude > 0x7f800000) {
    half = 0x7e00 | ((magnitude >> 13) & 0x3ff);
  } else if (magnitude >= 0x477ff000) {  // 65520 and more round to infinity
    half = 0x7c00;
  } else if (magnitude >= 0x38800000) {  // 2^-14: normal
    half = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  } else {
    // Adding 0.5 puts the last bit of a subnormal half (2^-24) at the last bit
    // of the float sum, so the addition rounds it to nearest even.
    half = Bits(FromBits(magnitude) + 0.5f) - 0x3f000000;
  }
  return static_cast<uint16_t>(sign | half);
}

float LoadFloat(DataType type, const std::byte* data, int64_t index) {
  if (type == DataType::kFloat32) return reinterpret_cast<const float*>(data)[index];
  const uint16_t bits = reinterpret_cast<const uint16_t*>(data)[index];
  return type == DataType::kBFloat16 ? BFloat16ToFloat(bits) : Float16ToFloat(bits);
}

void ConvertToFloat(DataType type, const std::byte* source, float* destination, int64_t n) {
  if (type == DataType::kFloat32) {
    if (n > 0) std::memcpy(destination, source, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  int64_t i =
      internal::WidenVectors(type, reinterpret_cast<const uint16_t*>(source), destination, n);
  for (; i < n; ++i) destination[i] = LoadFloat(type, source, i);
}

void ConvertFromFloat(const float* source, DataType type, std::byte* destination, int64_t n) {
  if (type == DataType::kFloat32) {
    if (n > 0) std::memcpy(destination, source, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  uint16_t* const half = reinterpret_cast<uint16_t*>(destination);
  int64_t i = internal::NarrowVectors(source, type, half, n);
  if (type == DataType::kBFloat16) {
    for (; i < n; ++i) half[i] = FloatToBFloat16(source[i]);
  } else {
    for (; i < n; ++i) half[i] = FloatToFloat16(source[i]);
  }
}

void ConvertFloats(DataType from, const std::byte* source, DataType to, std::byte* destination,
                   int64_t n) {
  if (from == to) {
    if (n > 0) std::memcpy(destination, source, static_cast<size_t>(n) * ElementSize(from));
    return;
  }
  if (to == DataType::kFloat32) {
    return ConvertToFloat(from, source, reinterpret_cast<float*>(destination), n);
  }
  if (from == DataType::kFloat32) {
    return ConvertFromFloat(reinterpret_cast<const float*>(source), to, destination, n);
  }
  constexpr int64_t kPiece = 256;
  float piece[kPiece];
  for (int64_t i = 0; i < n; i += kPiece) {
    const int64_t count = std::min(kPiece, n - i);
    ConvertToFloat(from, source + i * 2, piece, count);
    ConvertFromFloat(piece, to, destination + i * 2, count);
  }
}

}  // namespace attend
#endif  // HWY_ONCE
