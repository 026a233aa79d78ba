// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_SCHEDULER_H_
#define ATTEND_CORE_BATCHING_SCHEDULER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/caller_table.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/batching/admission.h"
#include "core/batching/batch_observer.h"
#include "core/batching/load_estimate.h"
#include "core/batching/policy.h"
#include "core/batching/work_item.h"
#include "core/batching/work_queue.h"

namespace attend {

struct SchedulerOptions {
  BatchLimits batch;
  QueueLimits queue;
  int executors = 1;  // batches that run at once
};

// Counts since the start, and the present state. Between calls:
// accepted == queued + in_hand + run + expired + cancelled + dropped.
struct SchedulerStats {
  int64_t queue_requests = 0;  // queued
  int64_t queue_bytes = 0;
  int64_t in_hand = 0;  // taken from the queue, End not yet returned
  int idle_executors = 0;
  int64_t accepted = 0;   // Submit returned OK
  int64_t refused = 0;    // Submit did not
  int64_t run = 0;        // ended OK
  int64_t expired = 0;    // ended DEADLINE_EXCEEDED
  int64_t cancelled = 0;  // ended CANCELLED
  int64_t dropped = 0;    // ended UNAVAILABLE
};

// A bounded queue before executor threads that run its items in batches, as
// DecideBatch says. Compared with a plain queue: an executor takes several items
// at once, and one more thread, the timer, watches deadlines, because executors
// are deep in a batch when queued items expire. Thread-safe.
//
// Invariants
//  1. Submit owns an item iff it returns OK. What it owns ends exactly once, by
//     Work::End, and is destroyed after that.
//  2. An item is in the queue, or in the hands of the one thread that took it
//     out under the mutex. Only that thread runs or ends it.
//  3. Nothing begins to run whose deadline has passed, nor what Cancel, Drain or
//     the destructor took. A running item that is cancelled, expires or is dropped
//     by Drain ends with that status, and its batch is stopped as soon as that is
//     true of all its items.
//  4. No executor waits while the queue holds anything.
//  5. Work, runners and the observer are called without the mutex.
class Scheduler {
 public:
  // Executors are numbered [0, executors). `clock` and `observer`, which may be nullptr,
  // outlive the scheduler.
  Scheduler(const SchedulerOptions& options, const Clock& clock, BatchObserver* observer);

  // Ends queued items with CANCELLED, running ones too, stops their batches and joins all threads.
  // No other call may be in progress or follow.
  ~Scheduler();

  // Takes item.work and returns the item's id (> 0), or leaves the item as it was. Blocks at
  // most for the mutex. UNAVAILABLE DRAINING after Drain was called; other errors are those of
  // CheckAdmission.
  absl::StatusOr<uint64_t> Submit(WorkItem& item);

  // Tells whether an item of unknown size could be queued for `caller` now: UNAVAILABLE DRAINING,
  // RESOURCE_EXHAUSTED QUEUE_FULL with pushback, or OK, which promises nothing. Callers share one
  // queue, so that all get the same answer. Blocks at most for the mutex.
  absl::Status CheckRoom(CallerId caller) const;

  // If the item is queued, ends it with CANCELLED before this call returns. If it runs, its
  // executor ends it with CANCELLED: soon, unless its batch has other items to compute. Otherwise
  // does nothing. Any id may be given.
  void Cancel(uint64_t id);

  // Refuses new items and waits until all others have ended; at `deadline` ends those still
  // queued with UNAVAILABLE, stops running batches, whose items soon end likewise, and returns.
  // Blocks; must not be called from End.
  void Drain(absl::Time deadline);

  SchedulerStats stats() const;

 private:
  // An item in a batch that runs, as the other threads see it.
  struct RunningItem {
    uint64_t id;
    absl::Time deadline;
    absl::Status status;  // OK: its result is wanted
  };

  // What one executor does.
  struct Executor {
    absl::Time busy_until = absl::InfinitePast();  // when it should be done; InfinitePast: idle
    std::vector<RunningItem> running;
    std::atomic<bool> stop{false};  // the running batch; set under the mutex, read without
  };

  // The items that one executor runs next.
  struct Batch {
    std::vector<WorkItem> items;  // have one runner; not empty
    Cost cost;                    // sum over all items
    absl::Time start;
    const std::atomic<bool>* stop = nullptr;  // the stop flag of its executor
  };

  void Execute(int executor);
  // Waits for work; nullopt once the scheduler stops.
  std::optional<Batch> NextBatch(int executor);
  void AwaitWork(int executor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunBatch(int executor, Batch batch);
  // Forgets the executor's running items and returns how each of them ends, in order.
  std::vector<absl::Status> FinishBatch(int executor, const Batch& batch, bool computed,
                                        absl::Duration compute);
  // Gives the running items that `matches` accepts a status, and stops batches that nobody wants
  // any more. Each item gets a status of its own: ThreadSanitizer does not see how Abseil counts
  // the owners of a shared one.
  template <typename Matches>
  void StopRunning(const Matches& matches, absl::Status (*make_status)())
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time NextDeadline() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WatchDeadlines();
  void EndAll(std::vector<WorkItem> items, const absl::Status& status);
  // Counts one item per code, all at once.
  void CountEnds(absl::Span<const absl::StatusCode> codes);
  Load MeasureLoad(uint32_t priority, absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t& FindCounter(absl::StatusCode code) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SchedulerOptions options_;
  const Clock& clock_;
  BatchObserver* const observer_;

  mutable Mutex mutex_;
  CondVar work_;     // executors: an item came, or stopping
  CondVar timer_;    // the timer: an earlier deadline came, or stopping
  CondVar drained_;  // Drain: nothing is queued or in hand
  WorkQueue queue_ ABSL_GUARDED_BY(mutex_);
  LoadEstimate estimate_ ABSL_GUARDED_BY(mutex_);
  SchedulerStats stats_ ABSL_GUARDED_BY(mutex_);  // without the queue's part
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  int idle_ ABSL_GUARDED_BY(mutex_) = 0;  // executors that wait
  std::deque<Executor> executors_ ABSL_GUARDED_BY(mutex_);
  // No item that is queued, or runs and is wanted, expires earlier; the timer wakes then at the
  // latest.
  absl::Time next_deadline_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::vector<std::thread> threads_;
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_SCHEDULER_H_
