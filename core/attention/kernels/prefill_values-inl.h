// SPDX-License-Identifier: Apache-2.0

// Weighted sums of values in prefill: output[d][row] = alpha[row] * output[d][row] +
// sum over keys of p[key][row] * v[key][d]. With pairs of bfloat16, a row of p and a row of
// v stand for two keys.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_PREFILL_VALUES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_PREFILL_VALUES_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_PREFILL_VALUES_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_PREFILL_VALUES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "core/attention/query_tile.h"
#include "core/simd/products-inl.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The outputs that the sums of a block are added to.
struct OutputSums {
  float* outputs;      // [Dv][kTileRows]
  const float* alpha;  // [kTileRows]
  bool first;          // there is nothing to add to yet
};

template <int kVectors>
HWY_INLINE void AddSums(const V32 (&sums)[kVectors], const OutputSums& to, int64_t d, int lane) {
  const F32 df;
  const int n = VectorLanes();
  float* HWY_RESTRICT output = to.outputs + d * kTileRows + lane;
  ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
    V32 sum = sums[v];
    if (!to.first) {
      sum = hn::MulAdd(hn::Load(df, to.alpha + lane + v * n), hn::Load(df, output + v * n), sum);
    }
    hn::Store(sum, df, output + v * n);
  }
}

template <class Multiplier, int kRows, int kVectors>
HWY_INLINE void ValueRows(const float* HWY_RESTRICT p, const WordRows& values, int rows,
                          const OutputSums& to, int64_t d, int lane) {
  const F32 df;
  const int n = VectorLanes();
  V32 sums[kRows][kVectors];
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(df);
  }
  p += lane;
  const std::byte* value = values.data + d * 4;
  for (int row = 0; row < rows; ++row, p += kTileRows, value += values.stride) {
    V32 weights[kVectors];
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) weights[v] = hn::Load(df, p + v * n);
    ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
      const V32 word = Broadcast(value + r * 4);
      ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = Multiplier::MulAdd(word, weights[v], sums[r][v]);
      }
    }
  }
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) AddSums<kVectors>(sums[r], to, d + r, lane);
}

template <class Multiplier, int kRows, int kVectors>
HWY_INLINE void ValueTail(int64_t features, const float* p, const WordRows& values, int rows,
                          const OutputSums& to, int64_t d, int lane) {
  if (features == kRows)
    return ValueRows<Multiplier, kRows, kVectors>(p, values, rows, to, d, lane);
  if constexpr (kRows > 1) {
    ValueTail<Multiplier, kRows - 1, kVectors>(features, p, values, rows, to, d, lane);
  }
}

template <class Multiplier, int kVectors>
HWY_NOINLINE void ValueVectors(const float* p, const WordRows& values, int rows,
                               const OutputSums& to, int lane) {
  constexpr int kRows = RegisterRows(kVectors);
  int64_t d = 0;
  for (; d + kRows <= values.words; d += kRows) {
    ValueRows<Multiplier, kRows, kVectors>(p, values, rows, to, d, lane);
  }
  if (d < values.words) {
    ValueTail<Multiplier, kRows, kVectors>(values.words - d, p, values, rows, to, d, lane);
  }
}

// Adds the values of a block for rows [begin, end) of the tile, in whole vectors.
template <class Multiplier>
HWY_INLINE void AccumulateValues(const float* p, const WordRows& values, int rows, int begin,
                                 int end, const OutputSums& to) {
  ForVectors(begin, end, [&](auto vectors, int lane) HWY_ATTR {
    ValueVectors<Multiplier, decltype(vectors)::value>(p, values, rows, to, lane);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
