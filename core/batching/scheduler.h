// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_SCHEDULER_H_
#define ATTEND_CORE_BATCHING_SCHEDULER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/caller_table.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/batching/batch_observer.h"
#include "core/batching/dispatcher.h"
#include "core/batching/work_item.h"

namespace attend {

// A bounded queue before threads that run its items in batches, as the Dispatcher decides.
// Compared with a plain queue: each executor has several lanes, one thread each, that run one
// batch each, and suspends all lanes but one between two tasks, so that short work need not
// wait for long work. The timer thread watches deadlines and turns. The completion thread ends the
// items of batches whose lane has others to run meanwhile. Where there are several executors, each
// has a thread that helps with the long batches of the others while it is idle. Thread-safe.
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
//  4. No executor waits while the queue holds anything that a free lane may run.
//  5. Work, runners and the observer are called without the mutex.
class Scheduler {
 public:
  // `clock` and `observer`, which may be nullptr, outlive the scheduler. Lanes are numbered
  // [0, executors * kLanes).
  Scheduler(const SchedulerOptions& options, const Clock& clock, BatchObserver* observer);

  // Ends queued items with CANCELLED, running ones too, stops their batches and joins all threads.
  // No other call may be in progress or follow.
  ~Scheduler();

  // Takes item.work and returns the item's id (> 0), or leaves the item as it was. Does not block
  // but for the mutex; may end other items. UNAVAILABLE DRAINING after Drain was called; other
  // errors are those of admission.h.
  absl::StatusOr<uint64_t> Submit(WorkItem& item);

  // Whether a request of the caller should be read at all: UNAVAILABLE while draining,
  // RESOURCE_EXHAUSTED QUEUE_FULL with pushback if its requests were just refused for load.
  absl::Status CheckRoom(uint32_t caller) const;

  // Whether there was a standing queue of short work when CheckRoom was last called. Takes no lock.
  bool overloaded() const { return overloaded_.load(std::memory_order_relaxed); }

  // If the item is queued, ends it with CANCELLED before this call returns. If it runs, its lane
  // ends it with CANCELLED: soon, unless its batch has other items to compute. Otherwise does
  // nothing. Any id may be given.
  void Cancel(uint64_t id);

  // Refuses new items and waits until all others have ended; at `deadline` ends those still
  // queued with UNAVAILABLE, stops running batches, whose items soon end likewise, and returns.
  // Blocks; must not be called from End.
  void Drain(absl::Time deadline);

  SchedulerStats stats() const;

 private:
  // A batch that has run.
  struct FinishedBatch {
    Batch batch;
    std::vector<absl::Status> ends;  // of its items
    absl::Duration compute;
  };

  void RunLane(int lane);
  // Waits for a batch; nullopt once the scheduler stops.
  std::optional<Batch> NextBatch(int lane);
  void RunBatch(int lane, Batch batch);
  void EndBatches();
  void WatchTime();
  void HelpOthers(int executor);
  // Wakes the lanes that were given a batch, the executors that may help, and the timer if it would
  // sleep too long.
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndAll(std::vector<EndedItem> items);
  void EndBatch(FinishedBatch finished);
  // Counts one item per code, all at once.
  void CountEnds(absl::Span<const absl::StatusCode> codes);

  const Clock& clock_;
  BatchObserver* const observer_;

  mutable Mutex mutex_;
  mutable std::atomic<bool> overloaded_{false};
  const std::function<void(int, int, const std::atomic<int>&)> help_;  // SchedulerOptions::help
  std::deque<CondVar> lanes_;    // one per lane: it was given a batch, or stopping
  std::deque<CondVar> helpers_;  // one per helping executor: it may help, or stopping
  CondVar timer_;                // the timer: an earlier tick is due, or stopping
  CondVar drained_;              // Drain: nothing is queued or in hand
  CondVar completion_;           // the completion thread: a batch has finished, or stopping
  CondVar completed_;            // lanes: it has ended a batch, or stopping
  int completing_ ABSL_GUARDED_BY(mutex_) = 0;  // batches that it has to end, or will be given
  std::deque<FinishedBatch> finished_ ABSL_GUARDED_BY(mutex_);  // for the completion thread
  Dispatcher dispatcher_ ABSL_GUARDED_BY(mutex_);
  absl::Time timer_wakes_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // past: it is awake
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool lanes_ended_ ABSL_GUARDED_BY(mutex_) = false;  // the completion thread gets no more

  std::vector<std::thread> threads_;
  std::thread completion_thread_;
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_SCHEDULER_H_
