// SPDX-License-Identifier: Apache-2.0

// Scores of a block in prefill:
// s[key][row] = sum over d of q[d][row] * k[key][d].

#if defined(ATTEND_CORE_ATTENTION_KERNELS_PREFILL_SCORES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_PREFILL_SCORES_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_PREFILL_SCORES_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_PREFILL_SCORES_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/attention/query_tile.h"
#include "core/simd/products-inl.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class Multiplier, int kRows, int kVectors>
HWY_INLINE void ScoreRows(const float* HWY_RESTRICT q, const WordRows& k, int64_t key,
                          float* HWY_RESTRICT s) {
  const F32 df;
  const int n = VectorLanes();
  V32 sums[kRows][kVectors];
  const std::byte* rows[kRows];
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
    rows[r] = k.row(key + r);
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(df);
  }
  AddProducts<Multiplier, kTileRows>(q, rows, k.words, sums);
  s += key * kTileRows;
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
      hn::Store(sums[r][v], df, s + r * kTileRows + v * n);
    }
  }
}

template <class Multiplier, int kRows, int kVectors>
HWY_INLINE void ScoreTail(int rows, const float* q, const WordRows& k, int64_t key, float* s) {
  if (rows == kRows) return ScoreRows<Multiplier, kRows, kVectors>(q, k, key, s);
  if constexpr (kRows > 1) ScoreTail<Multiplier, kRows - 1, kVectors>(rows, q, k, key, s);
}

// Prefetches the rows that the next step reads. They are far apart, so the hardware does not
// predict them.
HWY_INLINE void PrefetchRows(const WordRows& rows, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t at = 0; at < rows.words * 4; at += 64) hwy::Prefetch(rows.row(r) + at);
  }
}

template <class Multiplier, int kVectors>
HWY_NOINLINE void ScoreVectors(const float* q, const WordRows& k, int keys, float* s) {
  constexpr int kRows = RegisterRows(kVectors);
  int key = 0;
  for (; key + kRows <= keys; key += kRows) {
    PrefetchRows(k, key + kRows, std::min(key + 2 * kRows, keys));
    ScoreRows<Multiplier, kRows, kVectors>(q, k, key, s);
  }
  if (key < keys) ScoreTail<Multiplier, kRows, kVectors>(keys - key, q, k, key, s);
}

// s = q k for rows [begin, end) of the tile, in whole vectors.
template <class Multiplier>
HWY_INLINE void ComputeScores(const float* q, const WordRows& k, int keys, int begin, int end,
                              float* s) {
  ForVectors(begin, end, [&](auto vectors, int lane) HWY_ATTR {
    ScoreVectors<Multiplier, decltype(vectors)::value>(q + lane, k, keys, s + lane);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
