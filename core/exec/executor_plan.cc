// SPDX-License-Identifier: Apache-2.0
#include "core/exec/executor_plan.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace attend {
namespace {

constexpr int kLeastAutomaticWorkers = 2;

int ChooseExecutors(const Topology& topology, int workers) {
  const int groups = static_cast<int>(topology.groups.size());
  const int64_t filled = int64_t{workers} * groups / topology.CountCpus();
  const int64_t most = std::min(groups, workers / kLeastAutomaticWorkers);
  return static_cast<int>(std::max<int64_t>(std::min(filled, most), 1));
}

// The CPUs of an executor that has whole caches: the first ones of its share that hold `workers`.
CpuList TakeGroups(const std::vector<CpuList>& groups, int executor, int executors, int workers) {
  const size_t end = groups.size() * static_cast<size_t>(executor + 1) / executors;
  CpuList cpus;
  for (size_t i = groups.size() * static_cast<size_t>(executor) / executors;
       i < end && cpus.size() < static_cast<size_t>(workers); ++i) {
    cpus.insert(cpus.end(), groups[i].begin(), groups[i].end());
  }
  return cpus;
}

// The CPUs of an executor that has a part of a cache.
CpuList TakePart(const std::vector<CpuList>& groups, int executor, int executors) {
  const int count = static_cast<int>(groups.size());
  const int own = static_cast<int>(int64_t{executor} * count / executors);
  // The executors of this group are [first, last).
  const int first = (own * executors + count - 1) / count;
  const int last = ((own + 1) * executors + count - 1) / count;
  const CpuList& group = groups[static_cast<size_t>(own)];
  const int size = static_cast<int>(group.size());
  const int parts = last - first;
  if (size < parts) return group;
  const int part = executor - first;
  return CpuList(group.begin() + part * size / parts, group.begin() + (part + 1) * size / parts);
}

// One worker each, and every further one to the executor with the fewest per CPU.
void DivideWorkers(int workers, std::vector<ExecutorPlan>& plans) {
  for (int rest = workers - static_cast<int>(plans.size()); rest > 0; --rest) {
    const auto fewer = [](const ExecutorPlan& a, const ExecutorPlan& b) {
      return static_cast<int64_t>(a.workers) * static_cast<int64_t>(b.cpus.size()) <
             static_cast<int64_t>(b.workers) * static_cast<int64_t>(a.cpus.size());
    };
    ++std::min_element(plans.begin(), plans.end(), fewer)->workers;
  }
}

}  // namespace

absl::StatusOr<std::vector<ExecutorPlan>> PlanExecutors(const Topology& topology, int workers,
                                                        int executors) {
  if (workers <= 0) workers = topology.cores;
  if (executors <= 0) executors = ChooseExecutors(topology, workers);
  if (executors > workers) {
    return absl::InvalidArgumentError(absl::StrCat(executors, " executors need one worker each; ",
                                                   "there are ", workers, " workers"));
  }
  std::vector<ExecutorPlan> plans(static_cast<size_t>(executors));
  const bool whole = executors <= static_cast<int>(topology.groups.size());
  const int most_workers = (workers + executors - 1) / executors;
  for (int i = 0; i < executors; ++i) {
    plans[static_cast<size_t>(i)].cpus =
        whole ? TakeGroups(topology.groups, i, executors, most_workers)
              : TakePart(topology.groups, i, executors);
  }
  const bool pinned = executors > 1 && topology.cores >= topology.CountCpus();
  if (!pinned) {
    for (ExecutorPlan& plan : plans) plan.cpus = {0};  // all count alike
  }
  DivideWorkers(workers, plans);
  if (!pinned) {
    for (ExecutorPlan& plan : plans) plan.cpus.clear();
  }
  return plans;
}

}  // namespace attend
