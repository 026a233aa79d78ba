// SPDX-License-Identifier: Apache-2.0
#include "core/attention/tile_tasks.h"

#include <algorithm>
#include <bit>

#include "core/attention/readable_keys.h"
#include "core/attention/state.h"

namespace attend::internal {
namespace {

// Fills the weights of a head with gate 0, or of a mean over no heads.
void ClearWeights(const QueryTile& tile) {
  const AttentionProblem& problem = *tile.problem;
  const bool probabilities = problem.params->weights_stage == WeightsStage::kProbabilities;
  for (int row = 0; row < tile.query_rows; ++row) {
    std::fill_n(problem.WeightsRow(*tile.sequence, tile.first_head, tile.first_row + row),
                tile.sequence->key_length, probabilities ? 0.0f : kMinusInfinity);
  }
}

// Fills output and log-sum-exp of a head with gate 0.
void ClearHead(const QueryTile& tile) {
  const AttentionProblem& problem = *tile.problem;
  const SequenceProblem& sequence = *tile.sequence;
  const auto element = static_cast<int64_t>(ElementSize(problem.output_type));
  for (int64_t row = tile.first_row; row < tile.first_row + tile.query_rows; ++row) {
    std::fill_n(problem.OutputRow(sequence, tile.first_head, row), problem.value_head_dim * element,
                std::byte{0});
    if (sequence.log_sum_exp == nullptr) continue;
    problem.LogSumExp(sequence, tile.first_head, row) = kMinusInfinity;
  }
}

bool IsClosed(const QueryTile& tile) {
  return tile.problem->params->gate(tile.first_head) == 0.0f;
}

// Computes or clears tiles of one head, or one tile of several heads whose gates are open.
void RunTiles(const PlannedSequence& planned, absl::Span<const QueryTile> tiles,
              const KernelTable& kernels, Arena& arena) {
  const bool write_weights = planned.problem->params->weights == WeightsOutput::kPerHead;
  if (!IsClosed(tiles[0])) {
    return kernels.prefill(tiles, planned.plan.choice.arithmetic, {write_weights, false, 1.0f},
                           arena);
  }
  for (const QueryTile& tile : tiles) {
    ClearHead(tile);
    if (write_weights) ClearWeights(tile);
  }
}

void ComputeState(const QueryTile& tile, const KernelChoice& choice, const AttentionState& to,
                  const KernelTable& kernels, Arena& arena) {
  const ReadableKeys readable = FindReadableKeys(tile);
  if (readable.begin >= readable.end) {
    *to.read_rows = 0;
    return;
  }
  if (choice.kernel == Kernel::kDecode) {
    return kernels.decode_state(tile, choice.arithmetic, kernels.decode_prefetch, to, arena);
  }
  kernels.prefill_state(tile, choice.arithmetic, to, arena);
}

// Merges the states leaf(i, level) for i in [begin, begin + count) along a fixed binary tree
// (RFC 6962, section 2.1): a node over n leaves has the largest power of two below n on its
// left. An aligned run of 2^k leaves is therefore a subtree, and one task may compute the
// whole run without changing a bit. Returns the memory of the first leaf; two leaves of one
// level are never needed at once.
template <class Leaf>
AttentionState MergeTree(const QueryTile& tile, int64_t begin, int64_t count, const Leaf& leaf,
                         int level = 0) {
  if (count == 1) return leaf(begin, level);
  const auto left = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(count - 1)));
  const AttentionState to = MergeTree(tile, begin, left, leaf, level);
  MergeStates(tile, to, MergeTree(tile, begin + left, count - left, leaf, level + 1));
  return to;
}

// Memory of the states of the plan's tiles, all of one size.
class StateArray {
 public:
  StateArray(const PlannedSequence& planned, std::byte* memory)
      : rows_(planned.plan.max_tile_size()),
        width_(planned.problem->value_head_dim),
        bytes_(StateBytes(rows_, width_)),
        memory_(memory) {}

  size_t bytes_per_state() const { return bytes_; }
  AttentionState at(int64_t index) const {
    return PlaceState(memory_ + static_cast<size_t>(index) * bytes_, rows_, width_);
  }

 private:
  const int rows_;
  const int64_t width_;
  const size_t bytes_;
  std::byte* const memory_;
};

// Computes a run of splits of one tile into the state of the task or, if the tile has no other
// task, into its output.
void RunSplits(const PlannedSequence& planned, int64_t index, std::byte* states,
               const KernelTable& kernels, Arena& arena) {
  const SequencePlan& plan = planned.plan;
  const int64_t tasks = plan.tasks_per_tile();
  const QueryTile tile = MakeTile(*planned.problem, *planned.sequence, plan, index / tasks);
  // A closed tile is cleared once, by its merge.
  if (IsClosed(tile)) {
    if (tasks == 1) ClearHead(tile);
    return;
  }
  const int64_t begin = index % tasks * plan.splits_per_task;
  const int64_t count = std::min(plan.splits_per_task, plan.num_splits - begin);
  ArenaFrame frame(arena);
  const size_t levels = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(count)));
  const StateArray waiting(planned, states);
  const StateArray own(planned, frame.Take<std::byte>(levels * waiting.bytes_per_state()));
  const auto leaf = [&](int64_t split, int level) {
    const AttentionState to = level == 0 && tasks > 1 ? waiting.at(index) : own.at(level);
    QueryTile part = tile;
    part.begin_key = plan.first_key + split * plan.keys_per_split;
    part.end_key = part.begin_key + plan.keys_per_split;
    ComputeState(part, plan.choice, to, kernels, arena);
    return to;
  };
  const AttentionState all = MergeTree(tile, begin, count, leaf);
  if (tasks == 1) FinishState(tile, all);
}

}  // namespace

size_t SharedBytesPerTile(const PlannedSequence& planned) {
  const int64_t tasks = planned.plan.tasks_per_tile();
  if (tasks == 1) return 0;
  return static_cast<size_t>(tasks) * StateArray(planned, nullptr).bytes_per_state();
}

void RunTask(const PlannedSequence& planned, int64_t index, std::byte* states,
             const KernelTable& kernels, Arena& arena) {
  const SequencePlan& plan = planned.plan;
  if (plan.num_splits > 0) return RunSplits(planned, index, states, kernels, arena);
  const int64_t head_tile = index / plan.row_groups();
  const int64_t begin = index % plan.row_groups() * plan.tiles_per_task;
  const int64_t count = std::min(plan.tiles_per_task, plan.row_tiles - begin);
  QueryTile tiles[kMaxTilesPerTask];
  for (int64_t i = 0; i < count; ++i) {
    tiles[i] =
        MakeTile(*planned.problem, *planned.sequence, plan, head_tile * plan.row_tiles + begin + i);
  }
  RunTiles(planned, {tiles, static_cast<size_t>(count)}, kernels, arena);
}

void MergeTile(const PlannedSequence& planned, int64_t index, std::byte* states) {
  const QueryTile tile = MakeTile(*planned.problem, *planned.sequence, planned.plan, index);
  if (IsClosed(tile)) return ClearHead(tile);
  const int64_t tasks = planned.plan.tasks_per_tile();
  const StateArray waiting(planned, states);
  const auto leaf = [&](int64_t task, int) { return waiting.at(index * tasks + task); };
  FinishState(tile, MergeTree(tile, 0, tasks, leaf));
}

void RunMeanTask(const PlannedSequence& planned, int64_t head, int64_t index,
                 const KernelTable& kernels, Arena& arena) {
  const SequencePlan& plan = planned.plan;
  const AttentionParams& params = *planned.problem->params;
  const QueryTile tile =
      MakeTile(*planned.problem, *planned.sequence, plan, head * plan.row_tiles + index);
  const int64_t open_heads = planned.problem->num_heads - params.CountClosedGates();
  if (head == 0 && open_heads == 0) ClearWeights(tile);
  if (IsClosed(tile)) return ClearHead(tile);
  bool first_open = true;
  for (int64_t before = 0; before < head; ++before) first_open &= params.gate(before) == 0.0f;
  const float share = 1.0f / static_cast<float>(open_heads);
  kernels.prefill({&tile, 1}, plan.choice.arithmetic, {true, !first_open, share}, arena);
}

}  // namespace attend::internal
