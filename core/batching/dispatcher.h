// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_DISPATCHER_H_
#define ATTEND_CORE_BATCHING_DISPATCHER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/batching/admission.h"
#include "core/batching/backoff.h"
#include "core/batching/correction.h"
#include "core/batching/fair_queue.h"
#include "core/batching/lanes.h"
#include "core/batching/work_item.h"

namespace attend {

struct SchedulerOptions {
  BatchLimits batch;
  QueueLimits queue;
  TurnOptions turns;
  absl::Duration short_limit = absl::Milliseconds(10);  // work that takes longer is long
  absl::Duration aging = absl::Seconds(1);              // see FairQueue
  int executors = 1;                                    // with kLanes lanes each

  // Called once on the thread of each lane, before its first batch; may be empty.
  std::function<void(int lane)> on_lane_start;

  // Computes together with the lane's batch, on a thread of the executor, which has no work of its
  // own. Returns once `helped` is not the lane any more. Empty: executors do not help each other.
  std::function<void(int executor, int lane, const std::atomic<int>& helped)> help;
};

// Counts since the start, and the present state. Between calls:
// accepted == queued + in_hand + run + expired + cancelled + dropped + displaced.
struct SchedulerStats {
  int64_t queue_requests = 0;  // queued
  int64_t queue_bytes = 0;
  absl::Duration queue_expected;  // time that the queued items should take
  absl::Duration queue_oldest;    // how long the oldest of them has waited
  absl::Duration batch_oldest;    // how long ago the oldest running batch began
  absl::Duration overrun;         // how much longer a running batch takes than expected, at most
  bool overdue = false;           // one takes many times as long: something is wrong
  int64_t in_hand = 0;            // taken from the queue, End not yet returned
  int64_t accepted = 0;           // Submit returned OK
  int64_t refused = 0;            // Submit did not
  int64_t run = 0;                // ended OK
  int64_t expired = 0;            // ended DEADLINE_EXCEEDED
  int64_t cancelled = 0;          // ended CANCELLED
  int64_t dropped = 0;            // ended UNAVAILABLE
  int64_t displaced = 0;          // ended RESOURCE_EXHAUSTED
};

// An item that ends without a result of its batch.
struct EndedItem {
  WorkItem item;
  absl::Status status;
};

// All decisions of a scheduler, as a state machine without threads and without a clock: each
// call is told the time, decides at once what follows from it, and leaves the rest to its
// caller, which runs the batches and ends the items. Simulations drive it as the scheduler does.
//
// Thread-compatible; the gates of the lanes may be used by other threads at the same time.
class Dispatcher {
 public:
  explicit Dispatcher(const SchedulerOptions& options);

  // Takes the item and returns its id, or says why not and leaves the item as it was. Items that
  // give up their place for it are added to `ended`.
  absl::StatusOr<uint64_t> Offer(WorkItem& item, absl::Time now, std::vector<EndedItem>& ended);

  // Ends the item if it is queued. If it runs, it ends with its batch, which stops soon if nobody
  // else wants it.
  void Cancel(uint64_t id, absl::Time now, std::vector<EndedItem>& ended);

  // Expires what is due, passes turns on and gives free lanes work. The other calls do it, too;
  // to be called at NextTick() at the latest.
  void Tick(absl::Time now, std::vector<EndedItem>& ended);
  absl::Time NextTick() const;

  // Ends everything that is queued, and stops everything that runs, with the status that
  // `make_status` makes.
  void StopAll(absl::Status (*make_status)(), absl::Time now, std::vector<EndedItem>& ended);
  void Refuse() { draining_ = true; }  // new items, from now on

  // The lanes that were given a batch since the last call.
  std::vector<int> TakeStarted() { return std::exchange(started_, {}); }
  bool HasBatch(int lane) const { return lanes_.HasBatch(lane); }
  // The batch to run. Precondition: HasBatch(lane).
  Batch TakeBatch(int lane) { return lanes_.TakeBatch(lane); }
  TaskGate& gate(int lane) { return lanes_.gate(lane); }
  const std::atomic<int>& helped_lane(int executor) const { return lanes_.helped_lane(executor); }

  // The lane's batch has been run. Others may run now, but this lane only once it is ready again,
  // that is, when its thread has ended the items.
  Lanes::Finished Finish(int lane, const Batch& batch, bool computed, absl::Time now,
                         std::vector<EndedItem>& ended);
  void MakeReady(int lane, absl::Time now, std::vector<EndedItem>& ended);

  // Counts an item whose End has returned.
  void CountEnd(absl::StatusCode code);
  bool HasWaiting(WorkClass work_class) const { return queue_.has(work_class); }
  bool empty() const { return queue_.empty() && stats_.in_hand == 0; }
  SchedulerStats stats(absl::Time now) const;

  // Whether a request of the caller should be read at all: UNAVAILABLE while draining,
  // RESOURCE_EXHAUSTED QUEUE_FULL with pushback if its requests were just refused for load.
  absl::Status CheckRoom(uint32_t caller, absl::Time now) const;

  // Whether items of the class have waited without a pause for QueueLimits::standing_after.
  bool HasStandingQueue(WorkClass work_class, absl::Time now) const;

 private:
  void Predict(WorkItem& item, absl::Time now) const;
  absl::Status MakeRoom(const WorkItem& item, std::vector<EndedItem>& ended);
  Load MeasureLoad(const WorkItem& item, absl::Time now) const;
  absl::Duration DrainTime() const;
  // Gives free lanes batches of the class.
  void StartBatches(WorkClass work_class, absl::Time now, std::vector<EndedItem>& ended);
  void EndQueued(std::vector<WorkItem> items, absl::Status (*make_status)(),
                 std::vector<EndedItem>& ended);

  const SchedulerOptions options_;
  FairQueue queue_;
  Correction correction_;
  Backoff backoff_;
  Lanes lanes_;
  std::vector<int> started_;
  SchedulerStats stats_;  // without the queue's part
  uint64_t next_id_ = 1;
  absl::Time standing_since_[2];  // since when items of the class wait; InfiniteFuture: none does
  // No item that is queued, or runs and is wanted, expires earlier.
  absl::Time next_deadline_ = absl::InfiniteFuture();
  bool draining_ = false;
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_DISPATCHER_H_
