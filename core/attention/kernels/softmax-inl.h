// SPDX-License-Identifier: Apache-2.0

// Online softmax over a block of scores.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_SOFTMAX_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_SOFTMAX_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_SOFTMAX_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <type_traits>

#include "core/attention/problem.h"
#include "core/attention/query_tile.h"
#include "core/simd/exp-inl.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// P packed for the weighted sums of values.
struct FloatPacking {
  static constexpr int kKeys = 1;
  static constexpr int kDegree = 5;
  static HWY_INLINE V32 Pack(const V32 (&p)[1]) { return p[0]; }
};

#if HWY_TARGET == HWY_AVX3
// A word is P of two keys, rounded to bfloat16 (nearest even), the first one in the low half.
struct BFloat16PairPacking {
  static constexpr int kKeys = 2;
  static constexpr int kDegree = 3;
  static HWY_INLINE V32 Pack(const V32 (&p)[2]) {
    __m512i halves;
    __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(halves) : "v"(p[0].raw), "v"(p[1].raw));
    alignas(64) static constexpr uint16_t kInterleave[32] = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i order = _mm512_load_si512(kInterleave);
    return V32{_mm512_castsi512_ps(_mm512_permutexvar_epi16(order, halves))};
  }
};
#endif

// The state that each row keeps between blocks.
struct SoftmaxState {
  float* max;    // running maximum of scores, -inf before the first
  float* sum;    // sum of exp(score - max)
  float* alpha;  // exp(old max - new max) of the last block
};

// The maximum to subtract in exponents: 0 where every score was -inf, since -inf - -inf is NaN.
HWY_INLINE V32 FiniteMax(V32 max) {
  const F32 df;
  const V32 none = hn::Set(df, kMinusInfinity);
  return hn::IfThenZeroElse(hn::Eq(max, none), max);
}

// Keeps compilers from contracting a product into a fused multiply-add.
HWY_INLINE V32 Rounded(V32 product) {
#if HWY_TARGET == HWY_AVX3
  __asm__("" : "+v"(product.raw));
#elif HWY_TARGET == HWY_AVX2  // below it nothing is fused
  __asm__("" : "+x"(product.raw));
#endif
  return product;
}

// A product beyond this differs by more than 2^-4 from the same product unrounded in a fused
// multiply-add.
inline constexpr float kFarOffset = 0x1p20f;

// The terms subtracted in exponents: exp(s - max) = 2^((s - shift) * unit - offset). The maximum
// becomes the offset, which costs nothing, unless scores are so large that rounding the offset
// could make exponents positive: then it becomes the shift.
struct Base {
  V32 shift, offset;
};
HWY_INLINE Base FindBase(V32 max, V32 units) {
  const F32 df;
  const V32 finite = FiniteMax(max);
  const V32 offset = hn::Mul(finite, units);
  const auto far = hn::Gt(hn::Abs(offset), hn::Set(df, kFarOffset));
  return {hn::IfThenElseZero(far, finite), hn::IfThenZeroElse(far, offset)};
}

// s = s - shift for all keys; few scores ever need it.
inline HWY_NOINLINE void ShiftScores(float* s, int keys, V32 shift) {
  const F32 df;
  for (int key = 0; key < keys; ++key, s += kTileRows) {
    hn::Store(hn::Sub(hn::Load(df, s), shift), df, s);
  }
}

// Updates max, alpha and the exponents' offset for the block, and subtracts the shift from the
// scores.
template <int kVectors>
HWY_INLINE void UpdateMax(float* HWY_RESTRICT s, int keys, int lane, float unit,
                          const SoftmaxState& state, V32 (&offset)[kVectors]) {
  const F32 df;
  const int n = VectorLanes();
  V32 max[kVectors];
  ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) max[v] = hn::Load(df, s + lane + v * n);
  for (int key = 1; key < keys; ++key) {
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
      max[v] = hn::Max(max[v], hn::Load(df, s + key * kTileRows + lane + v * n));
    }
  }
  const V32 units = hn::Set(df, unit);
  ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
    const V32 old = hn::Load(df, state.max + lane + v * n);
    const V32 now = hn::Max(old, max[v]);
    const Base base = FindBase(now, units);
    offset[v] = base.offset;
    hn::Store(now, df, state.max + lane + v * n);
    // The product is rounded as it was when it was the offset.
    const V32 before = Rounded(hn::Mul(hn::Sub(old, base.shift), units));
    hn::Store(Exp2<5>(hn::Sub(before, base.offset)), df, state.alpha + lane + v * n);
    if (!hn::AllTrue(df, hn::Eq(base.shift, hn::Zero(df)))) {
      ShiftScores(s + lane + v * n, keys, base.shift);
    }
  }
}

// Replaces s by exp(s - max) in the format of Packing, in place: row i of the result is made of
// rows i * kKeys to i * kKeys + kKeys - 1, which are read before it is written.
template <class Packing, int kVectors>
HWY_NOINLINE void SoftmaxVectors(float* s, int keys, int lane, float unit,
                                 const SoftmaxState& state) {
  const F32 df;
  const int n = VectorLanes();
  V32 offset[kVectors], sums[kVectors];
  UpdateMax<kVectors>(s, keys, lane, unit, state, offset);
  const V32 units = hn::Set(df, unit);
  ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) sums[v] = hn::Zero(df);
  float* to = s + lane;
  for (int key = 0; key < keys; key += Packing::kKeys, to += kTileRows) {
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
      V32 p[Packing::kKeys];
      ATTEND_UNROLL for (int i = 0; i < Packing::kKeys; ++i) {
        p[i] = hn::Zero(df);
        if (i > 0 && key + i == keys) continue;  // an odd last key is paired with 0
        const float* at = s + (key + i) * kTileRows + lane + v * n;
        p[i] = Exp2<Packing::kDegree>(hn::MulSub(hn::Load(df, at), units, offset[v]));
        sums[v] = hn::Add(sums[v], p[i]);
      }
      hn::Store(Packing::Pack(p), df, to + v * n);
    }
  }
  ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
    float* sum = state.sum + lane + v * n;
    const V32 alpha = hn::Load(df, state.alpha + lane + v * n);
    hn::Store(hn::MulAdd(hn::Load(df, sum), alpha, sums[v]), df, sum);
  }
}

// Replaces the scores of rows [begin, end), in whole vectors, by P of the block, and updates
// maxima and sums.
template <class Packing>
HWY_INLINE void UpdateSoftmax(float* s, int keys, int begin, int end, float unit,
                              const SoftmaxState& state) {
  ForVectors(begin, end, [&](auto vectors, int lane) HWY_ATTR {
    SoftmaxVectors<Packing, decltype(vectors)::value>(s, keys, lane, unit, state);
  });
}

// s becomes P = exp(s - max) * factor, where max covers whole rows.
HWY_INLINE void ComputeProbabilities(float* s, int keys, int lanes, float unit, const float* max,
                                     const float* factor) {
  const F32 df;
  const int n = VectorLanes();
  const V32 units = hn::Set(df, unit);
  for (int lane = 0; lane < lanes; lane += n) {
    const Base base = FindBase(hn::Load(df, max + lane), units);
    const V32 factors = hn::Load(df, factor + lane);
    for (int key = 0; key < keys; ++key) {
      float* at = s + key * kTileRows + lane;
      const V32 score = hn::Sub(hn::Load(df, at), base.shift);
      const V32 p = Exp2<5>(hn::MulSub(score, units, base.offset));
      hn::Store(hn::Mul(p, factors), df, at);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
