// SPDX-License-Identifier: Apache-2.0

// Scores of a block in decode. Features occupy vector lanes, so that memory is read once, in
// whole vectors and in order, whatever the number of query heads that share it.
//
// Queries are rows q[row][stride] of words, zero up to the stride; scores are the tile's
// matrix s[key][row].

#if defined(ATTEND_CORE_ATTENTION_KERNELS_DECODE_SCORES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_DECODE_SCORES_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_DECODE_SCORES_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_DECODE_SCORES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
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

// Keys that are scored together for four rows: queries are loaded once for all of them.
#if HWY_TARGET == HWY_AVX3
constexpr int kDecodeKeys = 4;
#else
constexpr int kDecodeKeys = 2;
#endif

// s[key][row] for kKeys keys and kRows rows, at most four.
template <class Multiplier, int kKeys, int kRows>
HWY_INLINE void DecodeScoreKeys(const float* HWY_RESTRICT q, int64_t q_stride, RowsAt k,
                                int64_t words, PrefetchStream& ahead, int64_t lines,
                                float* HWY_RESTRICT s) {
  PrefetchStream prefetch = ahead;  // in registers
  const F32 df;
  const int64_t n = VectorLanes();
  V32 sums[kKeys][4];
  ATTEND_UNROLL for (int r = 0; r < kKeys; ++r) {
    ATTEND_UNROLL for (int l = 0; l < 4; ++l) sums[r][l] = hn::Zero(df);
  }
  const auto add = [&](int64_t at, auto whole) HWY_ATTR {
    V32 keys[kKeys];
    prefetch.Lines(lines);
    ATTEND_UNROLL for (int r = 0; r < kKeys; ++r) {
      const std::byte* from = k.row(r) + at * 4;
      keys[r] = decltype(whole)::value ? LoadBytes(df, from) : LoadFirst(df, from, words - at);
    }
    ATTEND_UNROLL for (int l = 0; l < kRows; ++l) {
      const V32 query = hn::Load(df, q + l * q_stride + at);
      ATTEND_UNROLL for (int r = 0; r < kKeys; ++r) {
        sums[r][l] = Multiplier::MulAdd(keys[r], query, sums[r][l]);
      }
    }
  };
  int64_t at = 0;
  for (; at + n <= words; at += n) add(at, std::true_type());
  if (at < words) add(at, std::false_type());
  ahead = prefetch;
  ATTEND_UNROLL for (int r = 0; r < kKeys; ++r) {
    if constexpr (kRows == 4) {
      StoreLaneSums(sums[r], s + r * kTileRows);
    } else {
      float to[4];
      StoreLaneSums(sums[r], to);
      ATTEND_UNROLL for (int l = 0; l < kRows; ++l) s[r * kTileRows + l] = to[l];
    }
  }
}

template <class Multiplier, int kRows>
HWY_INLINE void DecodeScoreRows(const float* q, int64_t q_stride, RowsAt k, int64_t words, int keys,
                                PrefetchStream& prefetch, int64_t lines, float* s) {
  if (keys == kDecodeKeys) {
    return DecodeScoreKeys<Multiplier, kDecodeKeys, kRows>(q, q_stride, k, words, prefetch, lines,
                                                           s);
  }
  for (int key = 0; key < keys; ++key) {
    DecodeScoreKeys<Multiplier, 1, kRows>(q, q_stride, {k.row(key), k.stride}, words, prefetch,
                                          lines, s + key * kTileRows);
  }
}

// s[key][row] for all rows of the tile.
template <class Multiplier>
HWY_NOINLINE void DecodeScores(const float* q, int64_t q_stride, const DecodeRows& rows,
                               const HeadRows& k, float* s) {
  const int64_t row_bytes = k.width * 4;
  const DecodeOrder order(k, rows, row_bytes);
  const int ahead = static_cast<int>(std::min<int64_t>(
      DivideUp<int64_t>(rows.prefetch.bytes, order.bytes * kDecodeKeys) * kDecodeKeys, k.rows));
  const int64_t lines = DivideUp<int64_t>(kDecodeKeys * 4 * VectorLanes(),
                                          kLineBytes * DivideUp<int64_t>(rows.per_head, 4));
  for (int first = 0; first < rows.kv_heads; first += order.at_once) {
    for (int key = 0; key < k.rows; key += kDecodeKeys) {
      const int keys = std::min(kDecodeKeys, k.rows - key);
      PrefetchStream prefetch = order.Ahead(k, first, key, ahead, kDecodeKeys);
      for (int head = first; head < first + order.at_once; ++head) {
        const RowsAt keys_of_head = k.At(head, key);
        for (int row = 0; row < rows.per_head; row += 4) {
          const int at = head * rows.per_head + row;
          const float* queries = q + at * q_stride;
          float* to = s + key * kTileRows + at;
          const int left = rows.per_head - row;
          if (left >= 4) {
            DecodeScoreRows<Multiplier, 4>(queries, q_stride, keys_of_head, k.width, keys, prefetch,
                                           lines, to);
          } else if (left == 3) {
            DecodeScoreRows<Multiplier, 3>(queries, q_stride, keys_of_head, k.width, keys, prefetch,
                                           lines, to);
          } else if (left == 2) {
            DecodeScoreRows<Multiplier, 2>(queries, q_stride, keys_of_head, k.width, keys, prefetch,
                                           lines, to);
          } else {
            DecodeScoreRows<Multiplier, 1>(queries, q_stride, keys_of_head, k.width, keys, prefetch,
                                           lines, to);
          }
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
