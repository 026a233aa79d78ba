// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_TILE_TASKS_H_
#define ATTEND_CORE_ATTENTION_TILE_TASKS_H_

#include <cstddef>
#include <cstdint>

#include "core/attention/kernels/kernel.h"
#include "core/attention/plan.h"
#include "core/attention/problem.h"
#include "core/base/arena.h"

namespace attend::internal {

// One sequence of a call and its plan.
struct PlannedSequence {
  const AttentionProblem* problem = nullptr;
  const SequenceProblem* sequence = nullptr;
  SequencePlan plan;
};

// The tasks of a plan. They are independent of each other except where noted. Thread-safe where
// arenas and tasks differ.

// Bytes of the states that the tasks of one tile leave for its merge; 0 if the tile has a single
// task.
size_t SharedBytesPerTile(const PlannedSequence& planned);

// Runs task `index` of tasks(). `states` has SharedBytesPerTile for each tile up to and
// including the task's own; the task writes its own state there.
void RunTask(const PlannedSequence& planned, int64_t index, std::byte* states,
             const KernelTable& kernels, Arena& arena);

// Merges the states of tile `index` after its tasks have run. Precondition: it has several.
void MergeTile(const PlannedSequence& planned, int64_t index, std::byte* states);

// With a mean of weights: computes row tile `index` of a head. Precondition: the same row tile
// of the heads before it is done.
void RunMeanTask(const PlannedSequence& planned, int64_t head, int64_t index,
                 const KernelTable& kernels, Arena& arena);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_TILE_TASKS_H_
