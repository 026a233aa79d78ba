// SPDX-License-Identifier: Apache-2.0

// Rounding of float32 vectors to bfloat16, and pairs of bfloat16 rows.

#if defined(ATTEND_CORE_SIMD_BFLOAT16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_SIMD_BFLOAT16_INL_H_
#undef ATTEND_CORE_SIMD_BFLOAT16_INL_H_
#else
#define ATTEND_CORE_SIMD_BFLOAT16_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rounds to nearest, ties to even; overflow to infinity, NaN stays NaN. Computes in integers,
// since instructions that round to bfloat16 read subnormals as 0.
template <class VF>
HWY_INLINE auto RoundToBFloat16(VF value) {
  const hn::DFromV<VF> df;
  const hn::RebindToUnsigned<decltype(df)> du;
  const hn::Rebind<uint16_t, decltype(df)> dh;
  const auto bits = hn::BitCast(du, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
  const auto quiet = hn::Or(bits, hn::Set(du, 0x400000));
  const auto nan = hn::RebindMask(du, hn::IsNaN(value));
  return hn::TruncateTo(dh, hn::ShiftRight<16>(hn::IfThenElse(nan, quiet, rounded)));
}

// words[i] = element i of two rows of bfloat16, `low` in the low half. `high` may be null, which
// stands for zeros.
HWY_INLINE void PairBFloat16Rows(const uint16_t* low, const uint16_t* high, int64_t width,
                                 uint32_t* words) {
  const hn::RebindToUnsigned<F32> du;
  const hn::Rebind<uint16_t, F32> dh;
  int64_t d = 0;
  for (; d + VectorLanes() <= width; d += VectorLanes()) {
    auto word = hn::PromoteTo(du, hn::LoadU(dh, low + d));
    if (high != nullptr) {
      word = hn::Or(word, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(dh, high + d))));
    }
    hn::StoreU(word, du, words + d);
  }
  for (; d < width; ++d) {
    words[d] = low[d] | (high == nullptr ? 0u : uint32_t{high[d]} << 16);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
