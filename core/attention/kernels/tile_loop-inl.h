// SPDX-License-Identifier: Apache-2.0

// The loop of a tile over blocks of keys, with online softmax. Kernel is PrefillKernel or
// DecodeKernel, which define layout and multiplication; Packing packs P for the weighted sums.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_TILE_LOOP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_TILE_LOOP_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_TILE_LOOP_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_TILE_LOOP_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "core/attention/kernels/key_blocks-inl.h"
#include "core/attention/kernels/output-inl.h"
#include "core/attention/kernels/score_terms-inl.h"
#include "core/attention/kernels/softmax-inl.h"
#include "core/attention/kernels/tile_memory.h"
#include "core/attention/kernels/tile_state.h"
#include "core/attention/kernels/weights-inl.h"
#include "core/attention/state.h"
#include "core/base/arena.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class KernelType, class Packing>
class TileLoop {
 public:
  using Kernel = KernelType;

  // `of_kernel` are what the kernel's constructor takes besides the state.
  template <class... OfKernel>
  TileLoop(const QueryTile& tile, const TileMemory& memory, const OfKernel&... of_kernel)
      : state_(tile, memory, Kernel::kIsDecode), kernel_(state_, of_kernel...) {}
  TileLoop(const TileLoop&) = delete;  // kernel_ holds a reference to state_

  const TileState& state() const { return state_; }
  const Kernel& kernel() const { return kernel_; }

  // Packs the queries and attends to the edge blocks before the keys that all rows read.
  void Begin() {
    kernel_.PackQueries();
    if (state_.sequence.alibi_slopes != nullptr) PackAlibi(state_);
    std::fill_n(state_.memory.max, kTileRows, kMinusInfinity);
    std::fill_n(state_.memory.sum, kTileRows, 0.0f);
    ForEdgeBlocks(state_, state_.readable.begin, state_.readable.full_begin, AttendBlock());
  }

  // Attends to keys [begin, end), which all rows read.
  void AttendFull(int64_t begin, int64_t end) { ForFullBlocks(state_, begin, end, AttendBlock()); }

  // Attends to the edge blocks after the keys that all rows read.
  void End() {
    ForEdgeBlocks(state_, state_.readable.full_end, state_.readable.end, AttendBlock());
  }

  // Adds one block of keys: scores, softmax, weighted sums of values.
  template <class PackedValues>
  void Attend(const KeyBlock& block, const PackedValues& values) {
    const TileMemory& m = state_.memory;
    if (state_.first && (block.begin_row > 0 || block.end_row < state_.tile.size())) {
      std::fill_n(m.outputs, state_.problem.value_head_dim * kTileRows, 0.0f);
      state_.first = false;
    }
    ScoreBlock(state_, kernel_, block);
    UpdateSoftmax<Packing>(m.scores, block.keys.count, block.begin_row, block.end_row, state_.unit,
                           {m.max, m.sum, m.alpha});
    kernel_.AddValues(block, values);
    state_.first = false;
  }

  // Attends to all keys and stores the state.
  void ComputeState(const AttentionState& to) {
    Begin();
    AttendFull(state_.readable.full_begin, state_.readable.full_end);
    End();
    *to.read_rows = state_.read_rows;
    for (int row = 0; row < state_.tile.size(); ++row) {
      to.sum[row] = state_.memory.sum[row];
      const bool none = state_.memory.max[row] == kMinusInfinity;
      to.shift[row] = none ? kMinusInfinity : FindShift(state_, row);
    }
    if (!state_.first) kernel_.StoreOutputs(to.values);
  }

  // Writes the results of a prefill tile after its last key.
  void WriteResults(const WeightsStep& weights) {
    static_assert(!Kernel::kIsDecode);
    if (state_.sequence.log_sum_exp != nullptr) WriteLogSumExp(state_);
    if (!state_.problem.params->sinks.empty()) AddSinks(state_);
    WriteOutput(state_);
    if (weights.write) WeightsWriter<Kernel>(state_, kernel_).Write(weights);
  }

 private:
  auto AttendBlock() {
    return [this](const KeyBlock& block) { Attend(block, kernel_.PackValues(block)); };
  }

  TileState state_;
  Kernel kernel_;
};

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
