// SPDX-License-Identifier: Apache-2.0

// The steps between a block's products and its softmax: softcap, bias, ALiBi, and -inf where a
// row may not read a key.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_SCORE_TERMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_SCORE_TERMS_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_SCORE_TERMS_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_SCORE_TERMS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "core/attention/bias.h"
#include "core/attention/kernels/key_blocks-inl.h"
#include "core/attention/kernels/tile_state.h"
#include "core/attention/readable_keys.h"
#include "core/simd/exp-inl.h"
#include "core/simd/transpose-inl.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// s = cap * tanh(s * scale / cap) for rows [begin, end), in whole vectors. It divides,
// because 1 / cap may be infinite.
inline HWY_NOINLINE void CapScores(float* s, int keys, int begin, int end, float scale, float cap) {
  const F32 df;
  const V32 scales = hn::Set(df, scale), caps = hn::Set(df, cap);
  for (int key = 0; key < keys; ++key) {
    for (int lane = begin; lane < end; lane += VectorLanes()) {
      float* at = s + key * kTileRows + lane;
      const V32 x = hn::Div(hn::Mul(hn::Load(df, at), scales), caps);
      hn::Store(hn::Mul(Tanh(x), caps), df, at);
    }
  }
}

// s = s * scale for rows [begin, end), in whole vectors.
inline HWY_NOINLINE void ScaleScores(float* s, int keys, int begin, int end, float scale) {
  const F32 df;
  const V32 scales = hn::Set(df, scale);
  for (int key = 0; key < keys; ++key) {
    for (int lane = begin; lane < end; lane += VectorLanes()) {
      float* at = s + key * kTileRows + lane;
      hn::Store(hn::Mul(hn::Load(df, at), scales), df, at);
    }
  }
}

// Slopes and positions of a tile's rows for ALiBi.
struct AlibiRows {
  const float* slope;
  const float* row;  // position of the row, from that of the tile's first row
};

// s = s * scale - slope * |position - key|. The first key is `distance` before the tile's first
// row.
inline HWY_NOINLINE void AddAlibi(float* s, int keys, int begin, int end, float scale,
                                  const AlibiRows& rows, int64_t distance) {
  const F32 df;
  const V32 scales = hn::Set(df, scale);
  for (int key = 0; key < keys; ++key) {
    const V32 first = hn::Set(df, static_cast<float>(distance - key));
    for (int lane = begin; lane < end; lane += VectorLanes()) {
      float* at = s + key * kTileRows + lane;
      const V32 far = hn::Abs(hn::Add(hn::Load(df, rows.row + lane), first));
      const V32 score = hn::Mul(hn::Load(df, at), scales);
      hn::Store(hn::NegMulAdd(hn::Load(df, rows.slope + lane), far, score), df, at);
    }
  }
}

// Stores slopes and positions of the rows, once per tile.
inline void PackAlibi(const TileState& state) {
  const TileMemory& m = state.memory;
  for (int lane = 0; lane < kTileRows; ++lane) {
    const int from = lane < state.tile.size() ? lane : 0;
    m.alibi_slope[lane] = state.sequence.alibi_slopes[state.tile.head(from)];
    m.alibi_row[lane] = static_cast<float>(from % state.tile.query_rows);
  }
}

// s = `otherwise` for rows that may not read the key.
inline void SelectReadable(const TileMemory& m, int key, const KeyBlock& block, float otherwise) {
  const F32 df;
  float* s = m.scores + key * kTileRows;
  for (int lane = block.begin_row; lane < block.end_row; lane += VectorLanes()) {
    const uint64_t bits = m.bits[key] >> lane;
    const auto readable = hn::LoadMaskBits(df, reinterpret_cast<const uint8_t*>(&bits));
    hn::Store(hn::IfThenElse(readable, hn::Load(df, s + lane), hn::Set(df, otherwise)), df,
              s + lane);
  }
}

// Stores the bias of a block in memory.bias[key][row].
inline void LoadBiasColumns(const TileState& state, KeyRange keys) {
  const TileMemory& m = state.memory;
  const int lanes = state.tile.size();
  const bool same = HasOneBiasRow(state.tile);
  const float* rows[kTileRows];
  for (int lane = 0; lane < (same ? 1 : lanes); ++lane) {
    LoadBias(state.tile, lane, keys, m.staged + lane * m.row_floats);
  }
  for (int lane = 0; lane < kTileRows; ++lane) {
    rows[lane] = m.staged + (same || lane >= lanes ? 0 : lane) * m.row_floats;
  }
  GatherColumns<kTileRows>(rows, keys.count, lanes, m.bias);
}

// s = s * factor + bias. Keys with a bias of -inf become unreadable.
inline void AddBias(const TileState& state, const KeyBlock& block, float factor) {
  const TileMemory& m = state.memory;
  LoadBiasColumns(state, block.keys);
  const F32 df;
  const V32 scale = hn::Set(df, factor), none = hn::Set(df, kMinusInfinity);
  for (int i = 0; i < block.keys.count; ++i) {
    for (int lane = block.begin_row; lane < block.end_row; lane += VectorLanes()) {
      const V32 bias = hn::Load(df, m.bias + i * kTileRows + lane);
      float* s = m.scores + i * kTileRows + lane;
      hn::Store(hn::MulAdd(hn::Load(df, s), scale, bias), df, s);
      uint64_t unreadable = 0;
      hn::StoreMaskBits(df, hn::Eq(bias, none), reinterpret_cast<uint8_t*>(&unreadable));
      m.bits[i] &= ~(unreadable << lane);
    }
  }
}

// s = the scores for the softmax, in units of state.unit; -inf where a row may not read the key.
template <class KernelType>
void ScoreBlock(TileState& state, const KernelType& kernel, const KeyBlock& block) {
  const TileMemory& m = state.memory;
  const int count = block.keys.count;
  kernel.MultiplyKeys(block.keys, block.begin_row, block.end_row);
  float scale = state.scale;  // not applied yet
  if (state.problem.params->softcap != 0.0f) {
    CapScores(m.scores, count, block.begin_row, block.end_row, scale,
              state.problem.params->softcap);
    scale = 1.0f;
  }
  if (block.masked) {
    std::fill_n(m.bits, count, ~uint64_t{0});
    if (state.limited) ClearUnreadable(state.tile, block.keys, m.bits);
    if (state.sequence.mask.data != nullptr) ClearMasked(state.tile, block.keys, m.bits);
    if (state.sequence.has_bias()) {
      AddBias(state, block, scale);
      scale = 1.0f;
    }
  }
  if (state.sequence.alibi_slopes != nullptr) {
    AddAlibi(m.scores, count, block.begin_row, block.end_row, scale, {m.alibi_slope, m.alibi_row},
             state.tile.position(0) - block.keys.begin);
  }
  if (!block.masked) {
    state.read_rows = ~uint64_t{0};
    return;
  }
  for (int i = 0; i < count; ++i) {
    state.read_rows |= m.bits[i];
    SelectReadable(m, i, block, kMinusInfinity);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
