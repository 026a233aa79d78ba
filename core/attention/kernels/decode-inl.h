// SPDX-License-Identifier: Apache-2.0

// The decode kernel: queries and outputs are rows as in memory, and one tile may have
// several heads of keys and values.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_DECODE_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_DECODE_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_DECODE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/attention/kernels/decode_scores-inl.h"
#include "core/attention/kernels/decode_values-inl.h"
#include "core/attention/kernels/head_rows.h"
#include "core/attention/kernels/kernel.h"
#include "core/attention/kernels/key_blocks-inl.h"
#include "core/attention/kernels/non_finite-inl.h"
#include "core/attention/kernels/operands-inl.h"
#include "core/attention/kernels/softmax-inl.h"
#include "core/attention/kernels/tile_loop-inl.h"
#include "core/attention/kernels/tile_memory.h"
#include "core/base/arena.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class MultiplierType>
class DecodeKernel {
 public:
  using Multiplier = MultiplierType;
  static constexpr bool kIsDecode = true;

  DecodeKernel(const TileState& state, const PrefetchPolicy& prefetch)
      : state_(state), problem_(state.problem), memory_(state.memory) {
    rows_.kv_heads = state.tile.kv_heads();
    rows_.per_head = state.tile.size() / rows_.kv_heads;
    rows_.prefetch = prefetch;
    query_stride_ = TileMemory::PaddedWidth(problem_.head_dim / Multiplier::kElementsPerWord);
    output_stride_ = TileMemory::PaddedWidth(problem_.value_head_dim);
  }

  // Copies queries as rows, with zeros behind them.
  void PackQueries() const {
    const int size = state_.tile.size();
    std::fill_n(memory_.queries, size * query_stride_, 0.0f);
    for (int row = 0; row < size; ++row) {
      LoadQuery<Multiplier>(state_, row, memory_.queries + row * query_stride_);
    }
    ScaleQueries<Multiplier>(state_, size * query_stride_);
    // The last vector of scores has lanes without a row. They begin as 0, because other
    // numbers may be slow to compute with.
    for (int i = 0; i < kKeyBlock; ++i) {
      for (int lane = size; lane % VectorLanes() != 0; ++lane) {
        memory_.scores[i * kTileRows + lane] = 0.0f;
      }
    }
  }

  // scores = q k, unscaled, for all rows of the tile.
  void MultiplyKeys(KeyRange keys, int /*begin*/, int /*end*/) const {
    if (MultipliesInMemory<Multiplier>(state_)) {
      HeadRows rows = FindRows(state_, state_.sequence.key, keys, 0,
                               problem_.head_dim / Multiplier::kElementsPerWord);
      rows.next = FindFirst(state_.sequence.value, keys.begin);
      return DecodeScores<Multiplier>(memory_.queries, query_stride_, rows_, rows, memory_.scores);
    }
    for (int head = 0; head < rows_.kv_heads; ++head) {
      const WordRows words = LoadKeys<Multiplier>(state_, keys, head);
      const int row = head * rows_.per_head;
      DecodeScores<Multiplier>(
          memory_.queries + row * query_stride_, query_stride_, {1, rows_.per_head, rows_.prefetch},
          {words.data, words.stride, 0, words.words, keys.count}, memory_.scores + row);
    }
  }

  // Decode packs no values in advance.
  struct PackedValues {};
  PackedValues PackValues(const KeyBlock& /*block*/) const { return {}; }

  // outputs = alpha outputs + P v, for all rows of the tile.
  void AddValues(const KeyBlock& block, PackedValues /*values*/) const {
    bool in_memory = MultipliesInMemory<Multiplier>(state_);
    for (int head = 0; block.masked && in_memory && head < rows_.kv_heads; ++head) {
      in_memory = !HasNonFinite(state_, FindValues(block, head));
    }
    if (in_memory) {
      HeadRows rows = FindValues(block, 0);
      rows.next = FindFirst(state_.sequence.key, block.keys.begin + block.keys.count);
      return DecodeValues<Multiplier>(memory_.scores, rows_, rows, memory_.alpha, state_.first,
                                      memory_.outputs, output_stride_);
    }
    for (int head = 0; head < rows_.kv_heads; ++head) AddCopiedValues(block, head);
  }

  // Stores the outputs as rows, to[row][Dv].
  void StoreOutputs(float* to) const {
    const int64_t width = problem_.value_head_dim;
    for (int row = 0; row < state_.tile.size(); ++row) {
      StoreDecodeOutputs<Multiplier>(memory_.outputs + row * output_stride_, width,
                                     to + row * width);
    }
  }

 private:
  // The rows of the tile's first head from a key on.
  RowsAt FindFirst(const Rows& rows, int64_t key) const {
    const HeadRows first = FindRows(state_, rows, {key, 0}, 0, 0);
    return {first.data, first.row_stride};
  }

  HeadRows FindValues(const KeyBlock& block, int head) const {
    return FindRows(state_, state_.sequence.value, block.keys, head, problem_.value_head_dim);
  }

  // Adds the values of one head from a copy, which is converted or has only finite values.
  void AddCopiedValues(const KeyBlock& block, int head) const {
    const HeadRows rows = FindValues(block, head);
    const bool has_non_finite = block.masked && HasNonFinite(state_, rows);
    if constexpr (Multiplier::kElementsPerWord == 2) {
      CopyFinite(state_, rows);
    } else {
      Widen(state_, rows, rows.width, memory_.widened);
      if (has_non_finite) ClearNonFinite(state_, rows.rows, memory_.widened);
    }
    const HeadRows copy{reinterpret_cast<const std::byte*>(memory_.widened), memory_.row_floats * 4,
                        0, rows.width, rows.rows};
    const int row = head * rows_.per_head;
    DecodeValues<Multiplier>(memory_.scores + row, {1, rows_.per_head, rows_.prefetch}, copy,
                             memory_.alpha + row, state_.first,
                             memory_.outputs + row * output_stride_, output_stride_);
    if (!has_non_finite) return;
    AddNonFinite<Multiplier>(state_, rows, row, row + rows_.per_head, [&](int r, int64_t d) {
      return r * output_stride_ + DecodeValueLoads<Multiplier>::Position(d);
    });
  }

  const TileState& state_;
  const AttentionProblem& problem_;
  const TileMemory& memory_;
  DecodeRows rows_;
  int64_t query_stride_, output_stride_;  // floats between rows
};

// Calls body(loop) with the loop of the arithmetic.
template <class Body>
void WithDecodeTile(const QueryTile& tile, Arithmetic arithmetic, const PrefetchPolicy& prefetch,
                    Arena& arena, const Body& body) {
  ArenaFrame frame(arena);
  TileMemory memory;
  memory.TakeOwn(frame, *tile.problem);
  memory.TakeShared(frame, *tile.problem, /*with_amx=*/false);
#if HWY_TARGET == HWY_AVX3
  if (arithmetic == Arithmetic::kBFloat16Pairs) {
    TileLoop<DecodeKernel<BFloat16Multiplier>, BFloat16PairPacking> loop(tile, memory, prefetch);
    return body(loop);
  }
#endif
  (void)arithmetic;  // kFloat32: the plan chooses nothing else below AVX-512
  TileLoop<DecodeKernel<FloatMultiplier>, FloatPacking> loop(tile, memory, prefetch);
  body(loop);
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
