// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_FAIR_QUEUE_H_
#define ATTEND_CORE_BATCHING_FAIR_QUEUE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "core/batching/work_item.h"

namespace attend {

// A batch stops growing at these limits. Its first item always runs, whatever it costs.
struct BatchLimits {
  int64_t max_requests = 1;
  int64_t max_tokens = 1;
  absl::Duration target = absl::Milliseconds(5);  // of the batch's expected time
  // Where a runner takes time for each batch (BatchRunner::batch_seconds), its batches may grow
  // to so many rows beyond the target, as long as they stay below max_time.
  int64_t efficient_tokens = 64;
  absl::Duration max_time = absl::Milliseconds(10);
};

// Items that wait. Those of one class, priority, caller and runner form a flow, in order of
// arrival. Flows of one class and priority share its time equally, by start-time fair queueing
// (Goyal, Vin, Cheng, SIGCOMM 1996): each flow has a tag, the expected seconds that it was served,
// and the flow with the smallest tag is served next. A flow that had nothing to wait for begins
// at the tag of the flow served last, so that nobody saves up time.
//
// Between priorities the order is strict, but an item that has waited for the `aging` time is
// served as the next higher priority from then on. Thread-compatible.
class FairQueue {
 public:
  struct Totals {
    int64_t requests = 0;
    int64_t bytes = 0;
    absl::Duration expected;

    void Add(const WorkItem& item);
    void Remove(const WorkItem& item);
    void operator+=(const Totals& other);
  };

  explicit FairQueue(absl::Duration aging) : aging_(aging) {}

  // `item.id` grows from push to push.
  void Push(WorkItem item);

  // Takes the items that run next in one batch; empty if nothing may run. The head is the first
  // item of the flow to be served. Items of other flows of its runner join in the order of their
  // tags, until one would exceed a limit. Nobody joins past a waiting item of a higher priority.
  // Flows of callers that `may_run` refuses are passed over. Items that are found expired are
  // taken out into `expired`.
  std::vector<WorkItem> TakeBatch(WorkClass work_class, const BatchLimits& limits, absl::Time now,
                                  absl::FunctionRef<bool(uint32_t caller)> may_run,
                                  std::vector<WorkItem>& expired);
  std::vector<WorkItem> TakeExpired(absl::Time now);
  std::vector<WorkItem> TakeAll();
  std::optional<WorkItem> TakeById(uint64_t id);

  // The item to give up so that `arrival` finds room: the newest of those that are served last,
  // if that is after the arrival's priority; otherwise the newest of the caller with the most
  // expected time in the queue, if that is more than what the arrival's caller would have.
  // Nullptr if there is none. Valid until the queue changes.
  const WorkItem* FindVictim(const WorkItem& arrival) const;

  // The expected time of the work that would be served before an arrival is done.
  absl::Duration ExpectedAhead(const WorkItem& arrival) const;

  // Forgets the tags of flows that have nothing to wait for. To be called when nothing runs.
  void ForgetIdleFlows();

  const Totals& totals() const { return totals_; }
  // Those that are served after this priority.
  Totals TotalsBelow(Priority priority) const;
  bool empty() const { return totals_.requests == 0; }
  bool has(WorkClass work_class) const { return waiting_[static_cast<int>(work_class)] > 0; }

  // InfiniteFuture if nothing waits.
  absl::Time NextDeadline() const;
  absl::Time OldestArrival() const;

 private:
  struct FlowKey {
    WorkClass work_class;
    Priority priority;  // at which the items are served
    uint32_t caller;
    BatchRunner* runner;
    bool operator<(const FlowKey& other) const {
      return std::tie(work_class, priority, caller, runner) <
             std::tie(other.work_class, other.priority, other.caller, other.runner);
    }
  };
  struct Flow {
    double tag = 0.0;
    std::deque<WorkItem> items;  // by id
    Totals totals;
  };
  using Flows = std::map<FlowKey, Flow>;

  void Insert(FlowKey key, WorkItem item);
  void PromoteAged(absl::Time now);
  // Moves the flow's items that are old enough to the next higher priority.
  void PromoteFrom(const FlowKey& key, Flow& flow, absl::Time now);
  Flows::iterator FindHead(WorkClass work_class, absl::Time now,
                           absl::FunctionRef<bool(uint32_t caller)> may_run,
                           std::vector<WorkItem>& expired);
  void TakeJoiners(const FlowKey& head, const BatchLimits& limits, absl::Time now,
                   absl::FunctionRef<bool(uint32_t caller)> may_run, std::vector<WorkItem>& batch,
                   std::vector<WorkItem>& expired);
  WorkItem TakeFrom(Flow& flow, std::deque<WorkItem>::iterator place);
  // Takes the expired items at the front out; returns whether an item is left.
  bool DropExpired(Flow& flow, absl::Time now, std::vector<WorkItem>& expired);
  double& LastTag(const FlowKey& key) {
    return last_tags_[static_cast<int>(key.work_class)][static_cast<int>(key.priority)];
  }

  const absl::Duration aging_;
  Flows flows_;
  double last_tags_[2][kPriorities] = {};  // of the flows served last
  Totals totals_;
  int64_t waiting_[2] = {};  // items per class
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_FAIR_QUEUE_H_
