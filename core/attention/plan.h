// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_PLAN_H_
#define ATTEND_CORE_ATTENTION_PLAN_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "core/attention/kernels/kernel.h"
#include "core/attention/problem.h"
#include "core/attention/query_tile.h"
#include "core/simd/cpu.h"

namespace attend::internal {

// Decides how a sequence is computed: which kernel, with which arithmetic, in which tasks. The
// decisions are pure functions; attention.cc only walks the plan.
//
// A sequence is a matrix of query tiles: `row_tiles` blocks of query rows by `head_tiles`
// groups of heads. A task computes one of the following:
// - Neighbouring tiles of one head, to their output.
// - Where keys are split, neighbouring splits of the keys of one tile, to one state. A separate
//   task merges the states of a tile along a fixed binary tree. Splits occupy all workers where
//   a sequence has few tiles, and bound the time of a task.
// - With a mean of weights, one tile of one head. Heads run one after another, so that their
//   weights are summed in one order.
//
// Whatever affects rounding depends on the problem and the CPU alone (PlanSequence). The
// grouping of tiles and splits into tasks does not affect rounding and depends on the number of
// workers (GroupTasks).

// A kernel and its arithmetic.
struct KernelChoice {
  Kernel kernel = Kernel::kPrefill;
  Arithmetic arithmetic = Arithmetic::kFloat32;
};

struct SequencePlan {
  KernelChoice choice;

  int64_t rows_per_tile = kTileRows;  // query rows per head
  int64_t row_tiles = 0;
  int64_t heads_per_tile = 1;     // query heads of one group
  int64_t kv_heads_per_tile = 1;  // groups; if several, each has all its heads
  int64_t tiles_per_group = 1;    // tiles that the heads of a group need
  int64_t head_tiles = 1;         // tiles that all heads need
  bool mean_of_weights = false;

  // If keys are split, tiles are computed to states: split i of a tile has the keys from
  // first_key + i * keys_per_split on. If num_splits == 0, tiles are computed to their output.
  int64_t first_key = 0;
  int64_t keys_per_split = 0;
  int64_t num_splits = 0;

  double total_work = 0.0;  // predicted, in multiply-adds (core/attention/cost.h)
  double unit_work = 0.0;   // work of the largest tile, or of a split of it

  int64_t max_tiles_per_task = 1;  // limit for GroupTasks

  // GroupTasks sets these.
  int64_t tiles_per_task = 1;
  int64_t splits_per_task = 1;

  int64_t tiles() const { return row_tiles * head_tiles; }
  int64_t tasks_per_tile() const {
    return num_splits == 0 ? 1 : (num_splits + splits_per_task - 1) / splits_per_task;
  }
  // Blocks of tiles_per_task row tiles.
  int64_t row_groups() const { return (row_tiles + tiles_per_task - 1) / tiles_per_task; }
  int64_t tasks() const { return head_tiles * row_groups() * tasks_per_tile(); }
  // Rows of the largest tile.
  int max_tile_size() const {
    return static_cast<int>(kv_heads_per_tile * heads_per_tile * rows_per_tile);
  }
  // The predicted work of the largest task, in multiply-adds.
  double task_work() const {
    return unit_work * static_cast<double>(num_splits == 0 ? tiles_per_task : splits_per_task);
  }
};

// The most work that a task is predicted to take, unless a single row tile of the fewest rows or
// a single block of keys takes more: 2^28 multiply-adds are 4.5 ms at 118 GFLOP/s, which a core
// of a Zen 4 reaches in float32.
inline constexpr double kMaxTaskWork = double{1 << 28};

SequencePlan PlanSequence(const AttentionProblem& problem, const SequenceProblem& sequence,
                          const CpuFeatures& cpu);

// Groups the tiles and splits of sequences that are computed together into tasks, so that
// workers finish together and few states wait for their merge. Changes no result.
void GroupTasks(absl::Span<SequencePlan* const> plans, int workers);

// The tile of a plan with this index. Indices count the row tiles of one group of heads after
// another, the last rows first: under causal they are the longest, and workers then finish
// together.
QueryTile MakeTile(const AttentionProblem& problem, const SequenceProblem& sequence,
                   const SequencePlan& plan, int64_t index);

// Describes the plan in one line, such as "prefill float32: 8 x 12 tiles of 64 rows, 4 per task,
// 24 tasks of 67 million multiply-adds".
std::string ToString(const SequencePlan& plan);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_PLAN_H_
