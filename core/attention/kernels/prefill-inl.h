// SPDX-License-Identifier: Apache-2.0

// The prefill kernel: scores are [keys][rows], outputs [features][rows]. It multiplies by
// vectors or, with AmxMultiplier, by AMX tiles.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_PREFILL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_PREFILL_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_PREFILL_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_PREFILL_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "core/attention/kernels/amx-inl.h"
#include "core/attention/kernels/head_rows.h"
#include "core/attention/kernels/kernel.h"
#include "core/attention/kernels/key_blocks-inl.h"
#include "core/attention/kernels/non_finite-inl.h"
#include "core/attention/kernels/operands-inl.h"
#include "core/attention/kernels/prefill_scores-inl.h"
#include "core/attention/kernels/prefill_tiles-inl.h"
#include "core/attention/kernels/prefill_values-inl.h"
#include "core/attention/kernels/softmax-inl.h"
#include "core/attention/kernels/tile_loop-inl.h"
#include "core/attention/kernels/tile_memory.h"
#include "core/base/arena.h"
#include "core/simd/bfloat16-inl.h"
#include "core/simd/transpose-inl.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class MultiplierType>
class PrefillKernel {
 public:
  using Multiplier = MultiplierType;
  static constexpr bool kIsDecode = false;

  explicit PrefillKernel(const TileState& state)
      : state_(state), problem_(state.problem), memory_(state.memory) {}

  // Transposes queries by way of contiguous rows: in memory they are often a power of two apart,
  // and then share too few sets of the cache to be read a few features at a time.
  void PackQueries() const {
    const float* rows[kTileRows];
    const int lanes = state_.tile.size();
    for (int lane = 0; lane < kTileRows; ++lane) {
      const int from = lane < lanes ? lane : 0;  // spare lanes repeat the first
      float* row = memory_.staged + from * memory_.row_floats;
      rows[lane] = row;
      if (lane == from) LoadQuery<Multiplier>(state_, lane, row);
    }
    const int64_t words = problem_.head_dim / Multiplier::kElementsPerWord;
    GatherColumns<kTileRows>(rows, words, lanes, memory_.queries);
    if constexpr (kUsesAmx<Multiplier>) {
      const int64_t missing = (words + 15) / 16 * 16 - words;
      std::fill_n(memory_.queries + words * kTileRows, missing * kTileRows, 0.0f);
    }
    ScaleQueries<Multiplier>(state_, words * kTileRows);
  }

  // scores = q k, unscaled, for rows [begin, end) of the tile.
  void MultiplyKeys(KeyRange keys, int begin, int end) const {
    const WordRows k = LoadKeys<Multiplier>(state_, keys, 0);
    if constexpr (kUsesAmx<Multiplier>) {
      Multiplier::ComputeScores(memory_.queries, k, keys.count, begin, end, memory_.amx,
                                memory_.scores);
    } else {
      ComputeScores<Multiplier>(memory_.queries, k, keys.count, begin, end, memory_.scores);
    }
  }

  // A block's values, ready to be multiplied, in the memory that tiles share.
  struct PackedValues {
    WordRows words;
    int rows;             // rows of words
    bool has_non_finite;  // non-finite values were replaced by 0
  };

  PackedValues PackValues(const KeyBlock& block) const {
    const HeadRows rows = FindValues(block);
    const bool has_non_finite = block.masked && HasNonFinite(state_, rows);
    const int words = (rows.rows + Multiplier::kElementsPerWord - 1) / Multiplier::kElementsPerWord;
    const PackedValues packed{LoadValues(rows, has_non_finite), words, has_non_finite};
    if constexpr (kUsesAmx<Multiplier>)
      Multiplier::PackValues(packed.words, memory_.packed_values, words, memory_.amx);
    return packed;
  }

  // outputs = alpha outputs + P v.
  void AddValues(const KeyBlock& block, const PackedValues& values) const {
    const OutputSums to{memory_.outputs, memory_.alpha, state_.first};
    if constexpr (kUsesAmx<Multiplier>) {
      Multiplier::AccumulateValues(memory_.scores, values.words, values.rows, block.begin_row,
                                   block.end_row, memory_.amx, to);
    } else {
      AccumulateValues<Multiplier>(memory_.scores, values.words, values.rows, block.begin_row,
                                   block.end_row, to);
    }
    if (!values.has_non_finite) return;
    AddNonFinite<Multiplier>(state_, FindValues(block), block.begin_row, block.end_row,
                             [](int row, int64_t d) { return d * kTileRows + row; });
  }

  // Stores the outputs as rows, to[row][Dv].
  void StoreOutputs(float* to) const {
    const int64_t width = problem_.value_head_dim;
    for (int row = 0; row < state_.tile.size(); ++row) {
      for (int64_t d = 0; d < width; ++d)
        to[row * width + d] = memory_.outputs[d * kTileRows + row];
    }
  }

 private:
  HeadRows FindValues(const KeyBlock& block) const {
    return FindRows(state_, state_.sequence.value, block.keys, 0, problem_.value_head_dim);
  }

  // Loads values as words of as many keys as a word of P has. With `has_non_finite`, non-finite
  // values are replaced by 0.
  WordRows LoadValues(const HeadRows& rows, bool has_non_finite) const {
    const int64_t width = problem_.value_head_dim;
    if constexpr (Multiplier::kElementsPerWord == 2) {
      const WordRows words = Pair(rows);
      if (has_non_finite) ClearNonFinitePairs(state_, (rows.rows + 1) / 2);
      return words;
    }
    if (!has_non_finite && problem_.input_type == DataType::kFloat32 &&
        rows.row_stride == width * 4) {
      return {rows.data, rows.row_stride, width};
    }
    // Rows are copied even where nothing is converted: rows of many heads lie a power of two
    // apart, share a few sets of the cache and would be fetched again for every few features.
    // Measured: 5 % at full length, 10 % under causal.
    const WordRows words = Widen(state_, rows, width, memory_.packed_values);
    if (has_non_finite) ClearNonFinite(state_, rows.rows, memory_.packed_values);
    return words;
  }

  WordRows Pair(const HeadRows& rows) const {
    const auto row = [&](int i) {
      return reinterpret_cast<const uint16_t*>(rows.data + i * rows.row_stride);
    };
    for (int i = 0; i < rows.rows; i += 2) {
      PairBFloat16Rows(
          row(i), i + 1 < rows.rows ? row(i + 1) : nullptr, problem_.value_head_dim,
          reinterpret_cast<uint32_t*>(memory_.packed_values + (i / 2) * memory_.row_floats));
    }
    return {reinterpret_cast<const std::byte*>(memory_.packed_values), memory_.row_floats * 4,
            problem_.value_head_dim};
  }

  const TileState& state_;
  const AttentionProblem& problem_;
  const TileMemory& memory_;
};

// Calls body(loops) with the loops of the arithmetic. Registers is AmxRegisters, or a model
// of them in tests.
template <class Registers, class Body>
void WithPrefillTiles(absl::Span<const QueryTile> tiles, Arithmetic arithmetic, Arena& arena,
                      const Body& body) {
  ArenaFrame frame(arena);
#if HWY_TARGET == HWY_AVX3
  if (arithmetic == Arithmetic::kAmx) {
    const Registers registers;
    using Loop = TileLoop<PrefillKernel<AmxMultiplier<Registers>>, BFloat16PairPacking>;
    PrefillTiles<Loop> loops(tiles, frame);
    return body(loops);
  }
  if (arithmetic == Arithmetic::kBFloat16Pairs) {
    using Loop = TileLoop<PrefillKernel<BFloat16Multiplier>, BFloat16PairPacking>;
    PrefillTiles<Loop> loops(tiles, frame);
    return body(loops);
  }
#endif
  (void)arithmetic;  // kFloat32: the plan chooses nothing else below AVX-512
  PrefillTiles<TileLoop<PrefillKernel<FloatMultiplier>, FloatPacking>> loops(tiles, frame);
  body(loops);
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
