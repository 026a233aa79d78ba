// SPDX-License-Identifier: Apache-2.0
#include "core/exec/helpers.h"

#include <cstdint>

namespace attend {

Helpers::Helpers(absl::Span<const ExecutorPlan> plans) {
  for (const ExecutorPlan& plan : plans) {
    workers_.push_back(plan.workers);
    if (plans.size() > 1) pools_.emplace_back(plan.workers, plan.cpus);
  }
}

void Helpers::Help(int executor, int owner, ExecutionContext& context,
                   absl::FunctionRef<bool()> wanted) {
  int first = context.workers();
  for (int other = 0; other < executor; ++other) first += other == owner ? 0 : workers_[other];
  pools_[executor].ParallelFor(workers_[executor], [&](int64_t i, int /*worker*/) {
    context.pool().Help(first + static_cast<int>(i), wanted);
  });
}

}  // namespace attend
