// SPDX-License-Identifier: Apache-2.0

// Scores and sums of values by AMX tiles instead of vectors. The layouts are the same: a tile of
// scores is 16 keys by 16 rows, and its factors are keys as they are in memory and queries as
// words (pairs of features) of rows; a tile of sums is 16 features by 16 rows, and its factors
// are values as words (pairs of keys) and P as words of rows. Only values have to be transposed:
// a tile needs one row per feature.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_AMX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_AMX_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_AMX_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_AMX_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "core/attention/kernels/prefill_scores-inl.h"
#include "core/attention/kernels/prefill_values-inl.h"
#include "core/attention/kernels/tile_memory.h"
#include "core/attention/query_tile.h"
#include "core/simd/products-inl.h"
#include "core/simd/transpose-inl.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// True where the multiplier uses AMX tile registers.
template <class Multiplier>
inline constexpr bool kUsesAmx = false;

#if HWY_TARGET == HWY_AVX3

constexpr int64_t kRowBytes = kTileRows * 4;  // between rows of queries, scores, P, outputs

// The sums of 16 rows and kBlocks * 16 columns, in tiles 0 to kBlocks - 1. With four blocks each
// key (and each feature of the values) is read once: 64 cycles of products for 5 loads of 8
// cycles. The four sums hide the latency of 52 cycles between products into the same sum
// (Intel's Optimization Reference Manual, chapter on AMX).
template <class Registers, int kBlocks>
struct AmxSums {
  using Before = AmxSums<Registers, kBlocks - 1>;
  static constexpr int kThis = kBlocks - 1;

  static HWY_INLINE void Zero() {
    Before::Zero();
    Registers::template Zero<kThis>();
  }
  static HWY_INLINE void Load(const float* rows) {
    Before::Load(rows);
    Registers::template Load<kThis>(rows + kThis * 16, kRowBytes);
  }
  static HWY_INLINE void Store(float* rows) {
    Before::Store(rows);
    Registers::template Store<kThis>(rows + kThis * 16, kRowBytes);
  }
  // Adds tile 4 times the 16 rows of words, which pass through tiles 5 to 7.
  static HWY_INLINE void MulAdd(const float* rows) {
    Before::MulAdd(rows);
    Registers::template Load<5 + kThis % 3>(rows + kThis * 16, kRowBytes);
    Registers::template MulAdd<kThis, 4, 5 + kThis % 3>();
  }
};

template <class Registers>
struct AmxSums<Registers, 0> {
  static HWY_INLINE void Zero() {}
  static HWY_INLINE void Load(const float* /*rows*/) {}
  static HWY_INLINE void Store(float* /*rows*/) {}
  static HWY_INLINE void MulAdd(const float* /*rows*/) {}
};

// Copies the existing part of a 16 x 16 matrix of words to `edge` and fills the rest with zeros:
// memory beyond it may not be readable, and a NaN there would meet zeros.
inline HWY_NOINLINE void CopyEdge(const WordRows& k, int64_t key, int keys, int64_t word,
                                  float* edge) {
  const int64_t words = std::min<int64_t>(16, k.words - word);
  const __mmask16 mask = static_cast<__mmask16>((1u << words) - 1);
  for (int r = 0; r < 16; ++r, edge += 16) {
    const __m512i row = r < keys ? _mm512_maskz_loadu_epi32(mask, k.row(key + r) + word * 4)
                                 : _mm512_setzero_si512();
    _mm512_store_si512(edge, row);
  }
}

template <class Registers, int kBlocks>
HWY_NOINLINE void AmxScoreBlocks(const float* q, const WordRows& k, int keys, float* edge,
                                 float* s) {
  for (int key = 0; key < keys; key += 16, s += 16 * kTileRows) {
    PrefetchRows(k, std::min(key + 16, keys), std::min(key + 32, keys));
    AmxSums<Registers, kBlocks>::Zero();
    const float* queries = q;
    for (int64_t word = 0; word < k.words; word += 16, queries += 16 * kTileRows) {
      if (key + 16 <= keys && word + 16 <= k.words) {
        Registers::template Load<4>(k.row(key) + word * 4, k.stride);
      } else {
        CopyEdge(k, key, std::min(16, keys - key), word, edge);
        Registers::template Load<4>(edge, 64);
      }
      AmxSums<Registers, kBlocks>::MulAdd(queries);
    }
    AmxSums<Registers, kBlocks>::Store(s);
  }
}

// outputs *= alpha, skipped where every alpha is 1: mostly the maximum of a row comes early.
inline HWY_NOINLINE void ScaleSums(const OutputSums& to, int64_t width, int begin, int end) {
  const F32 df;
  for (int lane = begin; lane < end; lane += VectorLanes()) {
    const V32 alpha = hn::Load(df, to.alpha + lane);
    if (hn::AllTrue(df, hn::Eq(alpha, hn::Set(df, 1.0f)))) continue;
    for (int64_t d = 0; d < width; ++d) {
      float* const output = to.outputs + d * kTileRows + lane;
      hn::Store(hn::Mul(hn::Load(df, output), alpha), df, output);
    }
  }
}

// `values` are those of AmxMemory; P has rows in whole tiles.
template <class Registers, int kBlocks>
HWY_NOINLINE void AmxValueBlocks(const float* p, const float* values, int rows, int64_t width,
                                 bool first, float* o) {
  for (int64_t d = 0; d < width; d += 16, values += 16 * kTileRows, o += 16 * kTileRows) {
    if (first) {
      AmxSums<Registers, kBlocks>::Zero();
    } else {
      AmxSums<Registers, kBlocks>::Load(o);
    }
    for (int row = 0; row < rows; row += 16) {
      Registers::template Load<4>(values + row, kRowBytes);
      AmxSums<Registers, kBlocks>::MulAdd(p + row * kTileRows);
    }
    AmxSums<Registers, kBlocks>::Store(o);
  }
}

// The multiplier of the prefill kernel that uses AMX tile registers, which must be alive on
// the calling thread. Queries and outputs have rows in whole tiles; those of queries beyond
// the head dimension are 0. RegistersType is AmxRegisters, or a model of them in tests.
template <class RegistersType>
struct AmxMultiplier {
  using Registers = RegistersType;
  static constexpr int kElementsPerWord = 2;

  // As ComputeScores, but rows of s up to a multiple of 16 are overwritten.
  static HWY_INLINE void ComputeScores(const float* q, const WordRows& k, int keys, int begin,
                                       int end, const AmxMemory& memory, float* s) {
    ForVectors(begin, end, [&](auto blocks, int lane) HWY_ATTR {
      AmxScoreBlocks<Registers, decltype(blocks)::value>(q + lane, k, keys, memory.edge, s + lane);
    });
  }

  // Transposes the values in `words`. Fills their rows with 0 up to a multiple of 16, for which
  // `words` has room.
  static HWY_INLINE void PackValues(const WordRows& values, float* words, int rows,
                                    const AmxMemory& memory) {
    const int all = (rows + 15) / 16 * 16;
    const int64_t stride = values.stride / 4;
    std::fill_n(words + rows * stride, (all - rows) * stride, 0.0f);
    const float* columns[kTileRows];
    for (int row = 0; row < all; ++row) columns[row] = words + row * stride;
    GatherColumns<kTileRows>(columns, values.words, all, memory.values);
  }

  // As AccumulateValues, from packed values. Fills rows of P with 0 up to a multiple of 16,
  // for which p has room.
  static HWY_INLINE void AccumulateValues(float* p, const WordRows& values, int rows, int begin,
                                          int end, const AmxMemory& memory, const OutputSums& to) {
    const int all = (rows + 15) / 16 * 16;
    std::fill_n(p + rows * kTileRows, (all - rows) * kTileRows, 0.0f);
    if (!to.first) ScaleSums(to, values.words, begin, end);
    ForVectors(begin, end, [&](auto blocks, int lane) HWY_ATTR {
      AmxValueBlocks<Registers, decltype(blocks)::value>(p + lane, memory.values, all, values.words,
                                                         to.first, to.outputs + lane);
    });
  }
};

template <class Registers>
inline constexpr bool kUsesAmx<AmxMultiplier<Registers>> = true;

#endif

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
