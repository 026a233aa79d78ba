// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_WORK_QUEUE_H_
#define ATTEND_CORE_BATCHING_WORK_QUEUE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/batching/policy.h"
#include "core/batching/work_item.h"

namespace attend {

// Waiting items in one array, by priority, then by arrival: the policy reads it as it is, and
// cancelling searches it faster than an index could be maintained. Thread-compatible.
class WorkQueue {
 public:
  // `item.id` grows from push to push.
  void Push(WorkItem item);

  absl::Span<const WorkItem> items() const { return absl::MakeConstSpan(items_).subspan(begin_); }
  int64_t size() const { return static_cast<int64_t>(items_.size() - begin_); }
  bool empty() const { return items_.size() == begin_; }
  int64_t bytes() const { return bytes_; }

  // The time that items of this priority and of more urgent ones need.
  absl::Duration ExpectedUpTo(Priority priority) const;

  // InfiniteFuture if nothing waits.
  absl::Time NextDeadline() const;

  // Removes and returns the items of a decision about items(), each list in order.
  struct Taken {
    std::vector<WorkItem> run, expired;
  };
  Taken Take(const BatchDecision& decision);
  std::vector<WorkItem> TakeExpired(absl::Time now);
  std::vector<WorkItem> TakeAll();
  std::optional<WorkItem> TakeById(uint64_t id);

 private:
  // `indices` are ascending indices into items().
  std::vector<WorkItem> TakeAt(absl::Span<const size_t> indices);

  // items_[0 .. begin_) are taken and empty: taking from the front moves no item.
  std::vector<WorkItem> items_;
  size_t begin_ = 0;
  int64_t bytes_ = 0;
  std::array<absl::Duration, kPriorities> expected_;  // indexed by priority
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_WORK_QUEUE_H_
