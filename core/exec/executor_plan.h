// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_EXEC_EXECUTOR_PLAN_H_
#define ATTEND_CORE_EXEC_EXECUTOR_PLAN_H_

#include <vector>

#include "absl/status/statusor.h"
#include "core/exec/topology.h"

namespace attend {

// What one executor computes with.
struct ExecutorPlan {
  int workers = 1;
  CpuList cpus;  // all of its threads run on these; empty: on any
};

// Divides workers among executors. `workers` 0: as many as the topology has cores. `executors` 0:
// one per last-level cache, but no more than the workers can fill, and none with a single worker
// beside others, so that no request is left to one core by default.
//
// An executor's threads are pinned to its set of CPUs and not to one CPU each: its lanes share
// the CPUs, only one lane has the turn, and the kernel places the threads of that one better
// than a fixed choice could if another process uses one of the CPUs.
//  - Where there are fewer executors than caches, each has several caches, but no more than its
//    workers need.
//  - Where there are more, the executors of a cache divide its CPUs; they share them where there
//    are too few.
//  - A single executor is not pinned. None is where a quota allows fewer cores than there are
//    CPUs: the kernel must be free to move a few threads to whichever CPUs are idle.
//
// INVALID_ARGUMENT if there are more executors than workers.
absl::StatusOr<std::vector<ExecutorPlan>> PlanExecutors(const Topology& topology, int workers,
                                                        int executors);

}  // namespace attend

#endif  // ATTEND_CORE_EXEC_EXECUTOR_PLAN_H_
