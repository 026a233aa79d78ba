// SPDX-License-Identifier: Apache-2.0

// Transposition between rows in memory and the columns of a matrix [n][kColumns].

#if defined(ATTEND_CORE_SIMD_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_SIMD_TRANSPOSE_INL_H_
#undef ATTEND_CORE_SIMD_TRANSPOSE_INL_H_
#else
#define ATTEND_CORE_SIMD_TRANSPOSE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR

// Transposes the 4 x 4 matrix in each 128-bit block of four vectors.
HWY_INLINE void Transpose4x4(V32& a, V32& b, V32& c, V32& d) {
  const F32 df;
  const hn::RepartitionToWide<F32> dw;
  const auto ab_low = hn::BitCast(dw, hn::InterleaveLower(df, a, b));
  const auto ab_high = hn::BitCast(dw, hn::InterleaveUpper(df, a, b));
  const auto cd_low = hn::BitCast(dw, hn::InterleaveLower(df, c, d));
  const auto cd_high = hn::BitCast(dw, hn::InterleaveUpper(df, c, d));
  a = hn::BitCast(df, hn::InterleaveLower(dw, ab_low, cd_low));
  b = hn::BitCast(df, hn::InterleaveUpper(dw, ab_low, cd_low));
  c = hn::BitCast(df, hn::InterleaveLower(dw, ab_high, cd_high));
  d = hn::BitCast(df, hn::InterleaveUpper(dw, ab_high, cd_high));
}

// Loads block i of the vector: four floats of row 4 * i.
template <class D>
HWY_INLINE hn::Vec<D> LoadBlocks(D d, const float* const* rows, int64_t at) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return hn::LoadU(d, rows[0] + at);
  } else {
    const hn::Half<D> dh;
    return hn::Combine(d, LoadBlocks(dh, rows + hn::MaxLanes(dh), at), LoadBlocks(dh, rows, at));
  }
}

template <class D>
HWY_INLINE void StoreBlocks(D d, hn::Vec<D> v, float* const* rows, int64_t at) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    hn::StoreU(v, d, rows[0] + at);
  } else {
    const hn::Half<D> dh;
    StoreBlocks(dh, hn::LowerHalf(dh, v), rows, at);
    StoreBlocks(dh, hn::UpperHalf(dh, v), rows + hn::MaxLanes(dh), at);
  }
}

#endif

// matrix[i][lane] = rows[lane][i] for i < n. Pointers up to `lanes` rounded up to a whole vector
// must be readable.
template <int kColumns>
HWY_NOINLINE void GatherColumns(const float* const* rows, int64_t n, int lanes, float* matrix) {
  int64_t done = 0;
#if HWY_TARGET != HWY_SCALAR
  const F32 df;
  done = n / 4 * 4;
  for (int lane = 0; lane < lanes; lane += VectorLanes()) {
    for (int64_t i = 0; i < done; i += 4) {
      V32 a = LoadBlocks(df, rows + lane, i), b = LoadBlocks(df, rows + lane + 1, i);
      V32 c = LoadBlocks(df, rows + lane + 2, i), d = LoadBlocks(df, rows + lane + 3, i);
      Transpose4x4(a, b, c, d);
      float* to = matrix + i * kColumns + lane;
      hn::Store(a, df, to);
      hn::Store(b, df, to + kColumns);
      hn::Store(c, df, to + 2 * kColumns);
      hn::Store(d, df, to + 3 * kColumns);
    }
  }
#endif
  const int n_lanes = VectorLanes();
  const int all = (lanes + n_lanes - 1) / n_lanes * n_lanes;
  for (; done < n; ++done) {
    for (int lane = 0; lane < all; ++lane) {
      std::memcpy(matrix + done * kColumns + lane, rows[lane] + done, sizeof(float));
    }
  }
}

// rows[lane][i] = matrix[i][lane] for i < n. Pointers up to `lanes` rounded up to
// a whole vector must be writable.
template <int kColumns>
HWY_NOINLINE void ScatterColumns(const float* matrix, int64_t n, int lanes, float* const* rows) {
  int64_t done = 0;
#if HWY_TARGET != HWY_SCALAR
  const F32 df;
  done = n / 4 * 4;
  for (int lane = 0; lane < lanes; lane += VectorLanes()) {
    for (int64_t i = 0; i < done; i += 4) {
      const float* from = matrix + i * kColumns + lane;
      V32 a = hn::Load(df, from), b = hn::Load(df, from + kColumns);
      V32 c = hn::Load(df, from + 2 * kColumns), d = hn::Load(df, from + 3 * kColumns);
      Transpose4x4(a, b, c, d);
      StoreBlocks(df, a, rows + lane, i);
      StoreBlocks(df, b, rows + lane + 1, i);
      StoreBlocks(df, c, rows + lane + 2, i);
      StoreBlocks(df, d, rows + lane + 3, i);
    }
  }
#endif
  for (; done < n; ++done) {
    for (int lane = 0; lane < lanes; ++lane) rows[lane][done] = matrix[done * kColumns + lane];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
