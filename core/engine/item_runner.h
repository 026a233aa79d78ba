// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_ITEM_RUNNER_H_
#define ATTEND_CORE_ENGINE_ITEM_RUNNER_H_

#include <algorithm>
#include <deque>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/base/task_gate.h"
#include "core/batching/work_item.h"
#include "core/engine/failures.h"
#include "core/exec/execution_context.h"

namespace attend {

// Runs batches of one kind of item. An operation that is prepared on a lane adds its item to that
// lane's batch; Run computes the batch and forgets its items.
//
// A batch that fails says nothing about its items, so each of them is then computed by itself:
// only an item that fails alone fails. Its neighbours' results have the same bits either way.
//
// Thread-safe as BatchRunner asks: each lane's thread uses its own batch and context.
template <typename Item>
class ItemRunner : public BatchRunner {
 public:
  // One context per lane; they outlive the runner.
  explicit ItemRunner(std::deque<ExecutionContext>& contexts)
      : contexts_(contexts), batches_(contexts.size()) {}

  // The workers of the executor that has the fewest.
  int workers() const {
    const auto fewer = [](const auto& a, const auto& b) { return a.workers() < b.workers(); };
    return std::min_element(contexts_.begin(), contexts_.end(), fewer)->workers();
  }

  // The item must stay unchanged until the batch has run, and `failure` must outlive the run,
  // which sets it if it cannot compute the item.
  void Add(int lane, const Item& item, absl::Status& failure) {
    Batch& batch = batches_[lane];
    batch.failures.resize(batch.items.size());  // drops the entry of an Add that threw
    batch.failures.push_back(&failure);
    batch.items.push_back(&item);
  }

  // Where a batch is stopped, the failures of its items mean nothing: the scheduler ends them for
  // reasons of its own.
  bool Run(int lane, TaskGate& gate) final {
    Batch& batch = batches_[lane];
    ExecutionContext& context = contexts_[lane];
    const WorkerPool::Interruptible interruptible(context.pool(), gate);
    const absl::Span<const Item* const> items = batch.items;
    const absl::Status status = TryToCompute(items, context);
    for (size_t i = 0; !status.ok() && !gate.stopped() && i < items.size(); ++i) {
      *batch.failures[i] = items.size() == 1 ? status : TryToCompute(items.subspan(i, 1), context);
    }
    const bool computed = status.ok() && !items.empty();  // no items: nothing took any time
    batch.items.clear();
    batch.failures.clear();
    context.Trim();
    return computed;
  }

 private:
  struct Batch {
    std::vector<const Item*> items;
    std::vector<absl::Status*> failures;  // one per item
  };

  // May throw; then it may be called again.
  virtual void Compute(absl::Span<const Item* const> batch, ExecutionContext& context) = 0;

  absl::Status TryToCompute(absl::Span<const Item* const> items, ExecutionContext& context) {
    if (items.empty()) return absl::OkStatus();
    const absl::Status status = CatchFailures([&] { Compute(items, context); });
    if (!status.ok()) context.Trim();  // the next attempt may need the memory
    return status;
  }

  std::deque<ExecutionContext>& contexts_;
  std::vector<Batch> batches_;  // indexed by lane
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_ITEM_RUNNER_H_
