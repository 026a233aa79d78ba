// SPDX-License-Identifier: Apache-2.0

// Weighted sums of values in decode: outputs are rows o[row][stride] of features, in the
// order in which vectors of values have them.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_DECODE_VALUES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_DECODE_VALUES_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_DECODE_VALUES_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_DECODE_VALUES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/attention/kernels/decode_order-inl.h"
#include "core/attention/kernels/head_rows.h"
#include "core/attention/query_tile.h"
#include "core/base/math.h"
#include "core/simd/prefetch-inl.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows, and vectors of values, that are summed in registers together: enough to hide the
// latency of multiply-add, few enough for 32 or 16 registers. A value is loaded, and paired
// with that of the next row, once for all of them.
#if HWY_TARGET == HWY_AVX3
constexpr int kDecodeRows = 4;
#else
constexpr int kDecodeRows = 2;
#endif
constexpr int kDecodeVectors = 4;

// Rows of values between two visits of their sums at least; a visit takes as long as a row.
constexpr int64_t kDecodeValueRows = 8;

// How rows of values become vectors that are multiplied with words of P, and how their sums
// become rows of features again.
template <class Multiplier>
struct DecodeValueLoads {          // float32
  static constexpr int kRows = 1;  // of values, per word of P
  static constexpr int kVectors = 1;
  static int64_t Features() { return VectorLanes(); }
  static HWY_INLINE void Load(const std::byte* const (&rows)[1], int64_t d, int64_t left, V32* to) {
    const F32 df;
    to[0] = left >= VectorLanes() ? LoadBytes(df, rows[0] + d * 4)
                                  : LoadFirst(df, rows[0] + d * 4, left);
  }
  static int64_t Position(int64_t d) { return d; }
  static HWY_INLINE void InOrder(V32* /*vectors*/) {}
};

#if HWY_TARGET == HWY_AVX3
// Two rows of 32 features become two vectors of pairs, the low and the high four of each
// eight features, as interleaving within blocks of 128 bits leaves them.
template <>
struct DecodeValueLoads<BFloat16Multiplier> {
  static constexpr int kRows = 2;
  static constexpr int kVectors = 2;
  static int64_t Features() { return 32; }
  static HWY_INLINE void Load(const std::byte* const (&rows)[2], int64_t d, int64_t left, V32* to) {
    const F32 df;
    const hn::Repartition<uint16_t, F32> dh;
    auto low = hn::Zero(dh), high = hn::Zero(dh);
    if (left >= 32) {
      low = LoadBytes(dh, rows[0] + d * 2);
      if (rows[1] != nullptr) high = LoadBytes(dh, rows[1] + d * 2);
    } else {
      low = LoadFirst(dh, rows[0] + d * 2, left);
      if (rows[1] != nullptr) high = LoadFirst(dh, rows[1] + d * 2, left);
    }
    to[0] = hn::BitCast(df, hn::InterleaveLower(dh, low, high));
    to[1] = hn::BitCast(df, hn::InterleaveUpper(dh, low, high));
  }
  static int64_t Position(int64_t d) {
    return d / 32 * 32 + d % 8 / 4 * 16 + d % 32 / 8 * 4 + d % 4;
  }
  static HWY_INLINE void InOrder(V32* vectors) {
    alignas(64) static constexpr int32_t kFirst[16] = {0, 1, 2, 3, 16, 17, 18, 19,
                                                       4, 5, 6, 7, 20, 21, 22, 23};
    alignas(64) static constexpr int32_t kSecond[16] = {8,  9,  10, 11, 24, 25, 26, 27,
                                                        12, 13, 14, 15, 28, 29, 30, 31};
    const __m512 low = vectors[0].raw, high = vectors[1].raw;
    vectors[0] = V32{_mm512_permutex2var_ps(low, _mm512_load_si512(kFirst), high)};
    vectors[1] = V32{_mm512_permutex2var_ps(low, _mm512_load_si512(kSecond), high)};
  }
};
#endif

// Rows of values that are added together, and what their sums are first multiplied by.
struct DecodeValueStep {
  RowsAt rows;
  int count;
  int64_t width;
  const float* alpha;  // null: 1
  bool first;          // there are no sums yet
  int64_t lines;       // to prefetch beside each row, or pair of rows
};

// o = alpha * o + P v for kRows rows and kVectors vectors from feature d on; without
// alpha * o at first.
template <class Multiplier, int kRows, int kVectors>
HWY_INLINE void DecodeValueColumns(const float* HWY_RESTRICT p, const DecodeValueStep& v, int row,
                                   int64_t d, float* HWY_RESTRICT o, int64_t o_stride,
                                   PrefetchStream& ahead) {
  PrefetchStream prefetch = ahead;  // in registers
  using Loads = DecodeValueLoads<Multiplier>;
  const F32 df;
  const int64_t n = VectorLanes();
  p += row;
  o += row * o_stride;
  V32 sums[kRows][kVectors];
  ATTEND_UNROLL for (int l = 0; l < kRows; ++l) {
    ATTEND_UNROLL for (int i = 0; i < kVectors; ++i) {
      sums[l][i] = hn::Zero(df);
      if (v.first) continue;
      sums[l][i] = hn::Load(df, o + l * o_stride + i * n);
      if (v.alpha != nullptr) sums[l][i] = hn::Mul(sums[l][i], hn::Set(df, v.alpha[row + l]));
    }
  }
  const auto add = [&](int r, auto whole) HWY_ATTR {
    const std::byte* from[Loads::kRows];
    ATTEND_UNROLL for (int i = 0; i < Loads::kRows; ++i) {
      from[i] = r + i < v.count ? v.rows.row(r + i) : nullptr;
    }
    prefetch.Lines(v.lines);
    V32 values[kVectors];
    ATTEND_UNROLL for (int i = 0; i < kVectors; i += Loads::kVectors) {
      const int64_t at = d + i / Loads::kVectors * Loads::Features();
      Loads::Load(from, at, decltype(whole)::value ? Loads::Features() : v.width - at, values + i);
    }
    ATTEND_UNROLL for (int l = 0; l < kRows; ++l) {
      const V32 weight = hn::Set(df, p[r / Loads::kRows * kTileRows + l]);
      ATTEND_UNROLL for (int i = 0; i < kVectors; ++i) {
        sums[l][i] = Multiplier::MulAdd(values[i], weight, sums[l][i]);
      }
    }
  };
  if (d + kVectors / Loads::kVectors * Loads::Features() <= v.width) {
    for (int r = 0; r < v.count; r += Loads::kRows) add(r, std::true_type());
  } else {
    for (int r = 0; r < v.count; r += Loads::kRows) add(r, std::false_type());
  }
  ATTEND_UNROLL for (int l = 0; l < kRows; ++l) {
    ATTEND_UNROLL for (int i = 0; i < kVectors; ++i) {
      hn::Store(sums[l][i], df, o + l * o_stride + i * n);
    }
  }
  ahead = prefetch;
}

template <class Multiplier, int kVectors>
HWY_INLINE void DecodeValueRows(const float* p, int rows, const DecodeValueStep& v, int64_t d,
                                float* o, int64_t o_stride, PrefetchStream& prefetch) {
  int row = 0;
  for (; row + kDecodeRows <= rows; row += kDecodeRows) {
    DecodeValueColumns<Multiplier, kDecodeRows, kVectors>(p, v, row, d, o, o_stride, prefetch);
  }
  if constexpr (kDecodeRows > 2) {
    if (row + 2 <= rows) {
      DecodeValueColumns<Multiplier, 2, kVectors>(p, v, row, d, o, o_stride, prefetch);
      row += 2;
    }
  }
  if (row < rows) DecodeValueColumns<Multiplier, 1, kVectors>(p, v, row, d, o, o_stride, prefetch);
}

// o = alpha * o + P v for all rows of the tile.
template <class Multiplier>
HWY_NOINLINE void DecodeValues(const float* p, const DecodeRows& rows, const HeadRows& v,
                               const float* alpha, bool first_block, float* o, int64_t o_stride) {
  using Loads = DecodeValueLoads<Multiplier>;
  const int64_t n = VectorLanes();
  const int64_t whole = kDecodeVectors / Loads::kVectors * Loads::Features();
  const int64_t row_bytes = v.width * 4 / Loads::kRows;
  const DecodeOrder order(v, rows, row_bytes);
  const int step = static_cast<int>(
      std::clamp<int64_t>(rows.prefetch.bytes / order.bytes / 2 * 2, kDecodeValueRows, kKeyBlock));
  const int64_t passes =
      DivideUp<int64_t>(v.width, whole) * DivideUp<int64_t>(rows.per_head, kDecodeRows);
  const int64_t lines = DivideUp<int64_t>(row_bytes * Loads::kRows, kLineBytes * passes);
  for (int first = 0; first < rows.kv_heads; first += order.at_once) {
    for (int row = 0; row < v.rows; row += step) {
      PrefetchStream prefetch = order.Ahead(v, first, row, std::min(step, v.rows), step);
      for (int head = first; head < first + order.at_once; ++head) {
        const int row_of_head = head * rows.per_head;
        const DecodeValueStep values{v.At(head, row),
                                     std::min(step, v.rows - row),
                                     v.width,
                                     row == 0 ? alpha + row_of_head : nullptr,
                                     first_block && row == 0,
                                     lines};
        const float* weights = p + row / Loads::kRows * kTileRows + row_of_head;
        float* to = o + row_of_head * o_stride;
        int64_t d = 0;
        for (; d + whole <= v.width; d += whole, to += kDecodeVectors * n) {
          DecodeValueRows<Multiplier, kDecodeVectors>(weights, rows.per_head, values, d, to,
                                                      o_stride, prefetch);
        }
        for (; d < v.width; d += Loads::Features(), to += Loads::kVectors * n) {
          DecodeValueRows<Multiplier, Loads::kVectors>(weights, rows.per_head, values, d, to,
                                                       o_stride, prefetch);
        }
      }
    }
  }
}

// to[0, width) = a row of outputs with its features in order. The row has whole vectors.
template <class Multiplier>
HWY_INLINE void StoreDecodeOutputs(const float* o, int64_t width, float* to) {
  using Loads = DecodeValueLoads<Multiplier>;
  const F32 df;
  const int64_t n = VectorLanes();
  for (int64_t d = 0; d < width; d += Loads::Features(), o += Loads::kVectors * n) {
    V32 vectors[Loads::kVectors];
    ATTEND_UNROLL for (int i = 0; i < Loads::kVectors; ++i) vectors[i] = hn::Load(df, o + i * n);
    Loads::InOrder(vectors);
    for (int i = 0; i < Loads::kVectors && d + i * n < width; ++i) {
      const int64_t left = std::min<int64_t>(width - d - i * n, n);
      HWY_ALIGN float numbers[hn::MaxLanes(F32())];
      hn::Store(vectors[i], df, numbers);
      std::memcpy(to + d + i * n, numbers, static_cast<size_t>(left) * sizeof(float));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
