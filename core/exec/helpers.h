// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_EXEC_HELPERS_H_
#define ATTEND_CORE_EXEC_HELPERS_H_

#include <deque>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "core/exec/execution_context.h"
#include "core/exec/executor_plan.h"
#include "core/exec/worker_pool.h"

namespace attend {

// The threads with which an executor that has nothing to run computes in the contexts of another
// one. Thread-safe; one thread at a time helps for each executor.
class Helpers {
 public:
  explicit Helpers(absl::Span<const ExecutorPlan> plans);

  // Lets all workers of `executor` run tasks of `context`, which is another executor's, the
  // `owner`'s, and has room for the workers of all others as helpers. The calling thread is one of
  // them. Blocks until `wanted()` is false, which all of them ask.
  void Help(int executor, int owner, ExecutionContext& context, absl::FunctionRef<bool()> wanted);

 private:
  std::vector<int> workers_;      // indexed by executor
  std::deque<WorkerPool> pools_;  // likewise; none for a single executor
};

}  // namespace attend

#endif  // ATTEND_CORE_EXEC_HELPERS_H_
