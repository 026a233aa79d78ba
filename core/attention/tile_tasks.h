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

// The tasks of a plan; all of them are independent of each other, except where they say so.
// Thread-safe where arenas and tasks differ.

// Memory of the states that the tasks of one tile leave for its merge; 0 where the tile has a
// single task.
size_t SharedBytesPerTile(const PlannedSequence& planned);

// Runs task `index` of tasks(). `states` has SharedBytesPerTile for each tile before it and
// for its own; the task writes its own part.
void RunTask(const PlannedSequence& planned, int64_t index, std::byte* states,
             const KernelTable& kernels, Arena& arena);

// Merges the states of tile `index`, after its tasks. Precondition: it has several.
void MergeTile(const PlannedSequence& planned, int64_t index, std::byte* states);

// With a mean of weights: computes row tile `index` of a head, after the same row tile of the
// heads before it.
void RunMeanTask(const PlannedSequence& planned, int64_t head, int64_t index,
                 const KernelTable& kernels, Arena& arena);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_TILE_TASKS_H_
