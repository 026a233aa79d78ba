// SPDX-License-Identifier: Apache-2.0

// Exponentials and hyperbolic tangents of float32 vectors.

#if defined(ATTEND_CORE_SIMD_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_SIMD_EXP_INL_H_
#undef ATTEND_CORE_SIMD_EXP_INL_H_
#else
#define ATTEND_CORE_SIMD_EXP_INL_H_
#endif

#include <hwy/highway.h>

#include "core/base/math.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 2^x for x <= 0; 0 below 2^-126, NaN for NaN. Minimax polynomials for 2^f on [-1/2, 1/2]:
// degree 5 errs by 7.5e-8 of the result. Degree 3 errs by 1.0e-4, which is enough before
// rounding to bfloat16 (2e-3); it is exact at 0, because the largest score of a row has weight 1
// in P and must have the same weight in the sum.
template <int kDegree>
HWY_INLINE V32 Exp2(V32 x) {
  const F32 df;
#if HWY_TARGET == HWY_AVX3
  // The distance to the nearest integer; 0 for an infinity. Together with the power below, four
  // instructions replace seven: 2 to 3 % of a bfloat16 prefill.
  const V32 f{_mm512_reduce_ps(x.raw, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
#else
  const hn::RebindToSigned<F32> di;
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum, and 127 makes it
  // the exponent of a float. The power is multiplied by p, not added to its bits, so that NaN
  // stays NaN whatever its low bits are.
  const V32 magic = hn::Set(df, 12582912.0f + 127.0f);
  const V32 shifted = hn::Add(x, magic);
  const V32 f = hn::Sub(x, hn::Sub(shifted, magic));
#endif
  V32 p;
  if constexpr (kDegree == 3) {
    p = hn::Set(df, 0.0550101846f);
    p = hn::MulAdd(p, f, hn::Set(df, 0.242206126f));
    p = hn::MulAdd(p, f, hn::Set(df, 0.693282247f));
    p = hn::MulAdd(p, f, hn::Set(df, 1.0f));
  } else {
    p = hn::Set(df, 0.00132764725f);
    p = hn::MulAdd(p, f, hn::Set(df, 0.00967554096f));
    p = hn::MulAdd(p, f, hn::Set(df, 0.0555071309f));
    p = hn::MulAdd(p, f, hn::Set(df, 0.240221202f));
    p = hn::MulAdd(p, f, hn::Set(df, 0.693146944f));
    p = hn::MulAdd(p, f, hn::Set(df, 1.00000012f));
  }
#if HWY_TARGET == HWY_AVX3
  const V32 n = hn::Sub(x, f);
  const __mmask16 normal = _mm512_cmp_ps_mask(x.raw, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ);
  return V32{_mm512_maskz_scalef_ps(normal, p.raw, n.raw)};
#else
  const V32 power = hn::BitCast(df, hn::ShiftLeft<23>(hn::BitCast(di, shifted)));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(df, -126.0f)), hn::Mul(p, power));
#endif
}

// tanh(x), within about 2 units in the last place. Below 5/8 an odd polynomial (Cephes tanhf, S.
// Moshier); above, computed from t = e^(-2|x|) < 0.29, whose error hardly counts in (1 - t) / (1
// + t). 1 for infinity, NaN for NaN.
HWY_INLINE V32 Tanh(V32 x) {
  const F32 df;
  const V32 magnitude = hn::Abs(x), one = hn::Set(df, 1.0f);
  const V32 square = hn::Mul(x, x);
  V32 p = hn::Set(df, -5.70498872745e-3f);
  p = hn::MulAdd(p, square, hn::Set(df, 2.06390887954e-2f));
  p = hn::MulAdd(p, square, hn::Set(df, -5.37397155531e-2f));
  p = hn::MulAdd(p, square, hn::Set(df, 1.33314422036e-1f));
  p = hn::MulAdd(p, square, hn::Set(df, -3.33332819422e-1f));
  const V32 small = hn::MulAdd(hn::Mul(p, square), x, x);
  const V32 t = Exp2<5>(hn::Mul(magnitude, hn::Set(df, -2.0f * kLog2E)));
  const V32 large = hn::Div(hn::Sub(one, t), hn::Add(one, t));
  return hn::IfThenElse(hn::Lt(magnitude, hn::Set(df, 0.625f)), small, hn::CopySign(large, x));
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
