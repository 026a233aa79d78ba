// SPDX-License-Identifier: Apache-2.0

// Attention weights, if requested, of any stage from scores to probabilities. Scores are
// computed once more, now that maxima and sums of whole rows are known: cheaper than keeping Lq
// x Lk of them.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_WEIGHTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_WEIGHTS_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_WEIGHTS_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_WEIGHTS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "core/attention/kernels/key_blocks-inl.h"
#include "core/attention/kernels/score_terms-inl.h"
#include "core/attention/kernels/softmax-inl.h"
#include "core/attention/kernels/tile_state.h"
#include "core/simd/transpose-inl.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class KernelType>
class WeightsWriter {
 public:
  // To be used after the tile's output, when the memory has the maxima and sums of its rows.
  WeightsWriter(TileState& state, const KernelType& kernel)
      : state_(state), kernel_(kernel), problem_(state.problem), memory_(state.memory) {}

  void Write(const WeightsStep& step) {
    switch (problem_.params->weights_stage) {
      case WeightsStage::kProbabilities:
        return WriteProbabilities(step);
      case WeightsStage::kBiased:
        return WriteBiased();
      default:
        return WriteUnbiased();
    }
  }

 private:
  // Calls body(block) with the scores of all rows of the tile in memory.
  template <typename Body>
  void ForScores(const Body& body) {
    ForKeyBlocks(state_, [&](KeyBlock block) {
      block.begin_row = 0;
      block.end_row = state_.tile.size();
      ScoreBlock(state_, kernel_, block);
      body(block);
    });
  }

  void WriteProbabilities(const WeightsStep& step) {
    const int lanes = state_.tile.size();
    for (int lane = 0; lane < lanes; ++lane) {
      memory_.factor[lane] = state_.HasRead(lane) ? step.scale / memory_.sum[lane] : 0.0f;
    }
    ForScores([&](const KeyBlock& block) {
      ComputeProbabilities(memory_.scores, block.keys.count, lanes, state_.unit, memory_.max,
                           memory_.factor);
      if (block.masked) {
        for (int i = 0; i < block.keys.count; ++i) SelectReadable(memory_, i, block, 0.0f);
      }
      Store(block.keys, step);
    });
    if (!step.add) FillUnreadable(0.0f);
  }

  void WriteBiased() {
    ForScores([&](const KeyBlock& block) {
      if (!state_.scaled)
        ScaleScores(memory_.scores, block.keys.count, 0, block.end_row, state_.scale);
      Store(block.keys, {});
    });
    FillUnreadable(kMinusInfinity);
  }

  // Writes the scores of every key, readable or not.
  void WriteUnbiased() {
    const bool cap = problem_.params->weights_stage == WeightsStage::kSoftcapped &&
                     problem_.params->softcap != 0.0f;
    const int64_t length = state_.sequence.key_length;
    const int lanes = state_.tile.size();
    for (int64_t key = 0; key < length; key += kKeyBlock) {
      const KeyRange keys{key, static_cast<int>(std::min<int64_t>(kKeyBlock, length - key))};
      kernel_.MultiplyKeys(keys, 0, lanes);
      if (cap) {
        CapScores(memory_.scores, keys.count, 0, lanes, state_.scale, problem_.params->softcap);
      } else {
        ScaleScores(memory_.scores, keys.count, 0, lanes, state_.scale);
      }
      Store(keys, {});
    }
  }

  void FillUnreadable(float value) const {
    for (int lane = 0; lane < state_.tile.size(); ++lane) {
      float* row = Row(lane);
      std::fill(row, row + std::min(state_.readable.begin, state_.readable.end), value);
      std::fill(row + state_.readable.end, row + state_.sequence.key_length, value);
    }
  }

  void Store(KeyRange keys, const WeightsStep& step) const {
    const int lanes = state_.tile.size();
    float* rows[kTileRows];
    for (int lane = 0; lane < kTileRows; ++lane) {
      rows[lane] = lane >= lanes ? memory_.discarded
                   : step.add    ? memory_.staged + lane * memory_.row_floats
                                 : Row(lane) + keys.begin;
    }
    ScatterColumns<kTileRows>(memory_.scores, keys.count, lanes, rows);
    if (!step.add) return;
    for (int lane = 0; lane < lanes; ++lane) {
      float* to = Row(lane) + keys.begin;
      for (int i = 0; i < keys.count; ++i) to[i] += rows[lane][i];
    }
  }

  float* Row(int lane) const {
    return problem_.WeightsRow(state_.sequence, state_.tile.head(lane),
                               state_.tile.query_row(lane));
  }

  TileState& state_;
  const KernelType& kernel_;
  const AttentionProblem& problem_;
  const TileMemory& memory_;
};

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
