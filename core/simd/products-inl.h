// SPDX-License-Identifier: Apache-2.0

// Sums of products of rows with a panel: sums[row][lane] += sum over words w of row[w] *
// panel[w][lane], in order of w, whichever rows are computed together: the bits of a row's sums
// depend on nothing but that row and the panel.

#if defined(ATTEND_CORE_SIMD_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_SIMD_PRODUCTS_INL_H_
#undef ATTEND_CORE_SIMD_PRODUCTS_INL_H_
#else
#define ATTEND_CORE_SIMD_PRODUCTS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows as they are in memory: words of four bytes, strides in bytes.
struct WordRows {
  const std::byte* data;
  int64_t stride;
  int64_t words;  // per row

  const std::byte* row(int64_t r) const { return data + r * stride; }
};

// Prefetches nothing: rows and panel are in near caches, or the hardware follows them.
struct NoPrefetch {
  HWY_INLINE void operator()() {}
};

// `panel` points to the first lane of the first word; kLanes is the distance from one word to
// the next. `prefetch` is called once per word.
template <class Multiplier, int kLanes, int kRows, int kVectors, class Prefetch = NoPrefetch>
HWY_INLINE void AddProducts(const float* HWY_RESTRICT panel, const std::byte* const (&rows)[kRows],
                            int64_t words, V32 (&sums)[kRows][kVectors],
                            Prefetch prefetch = Prefetch()) {
  const F32 df;
  const int n = VectorLanes();
  const int64_t bytes = words * 4;
  for (int64_t at = 0; at < bytes; at += 4, panel += kLanes) {
    V32 factors[kVectors];
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) factors[v] = hn::Load(df, panel + v * n);
    prefetch();
    ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
      const V32 word = Broadcast(rows[r] + at);
      ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = Multiplier::MulAdd(word, factors[v], sums[r][v]);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
