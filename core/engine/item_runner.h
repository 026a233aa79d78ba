// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_ITEM_RUNNER_H_
#define ATTEND_CORE_ENGINE_ITEM_RUNNER_H_

#include <deque>
#include <vector>

#include "absl/types/span.h"
#include "core/batching/work_item.h"
#include "core/exec/execution_context.h"

namespace attend {

// Runs batches of one kind of item. An operation that is prepared on an executor adds its item
// to that executor's batch; Run computes the batch and forgets its items.
//
// Thread-safe as BatchRunner asks: each executor's thread uses its own batch and context.
template <typename Item>
class ItemRunner : public BatchRunner {
 public:
  // One context per executor; they outlive the runner.
  explicit ItemRunner(std::deque<ExecutionContext>& contexts)
      : contexts_(contexts), batches_(contexts.size()) {}

  // The item must stay unchanged until the batch has run.
  void Add(int executor, const Item& item) { batches_[executor].push_back(&item); }

  void Run(int executor) final {
    std::vector<const Item*>& batch = batches_[executor];
    if (!batch.empty()) Compute(batch, contexts_[executor]);
    batch.clear();
    contexts_[executor].Trim();
  }

 private:
  virtual void Compute(absl::Span<const Item* const> batch, ExecutionContext& context) = 0;

  std::deque<ExecutionContext>& contexts_;
  std::vector<std::vector<const Item*>> batches_;  // indexed by executor
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_ITEM_RUNNER_H_
