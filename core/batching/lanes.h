// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_LANES_H_
#define ATTEND_CORE_BATCHING_LANES_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/task_gate.h"
#include "core/batching/lane_turns.h"
#include "core/batching/work_item.h"

namespace attend {

// The items that a lane runs next.
struct Batch {
  std::vector<WorkItem> items;  // have one runner; not empty
  Cost cost;                    // sum over all items
  double predicted_seconds = 0.0;
  absl::Duration expected;  // the predicted time, corrected by what past work took
  absl::Time start;
};

// The lanes of all executors and what runs on them. Lanes are numbered executor * kLanes + lane. An
// executor that has nothing to run helps the long batch of another one meanwhile.
// Thread-compatible; the gates and helped_lane() may be used by other threads at the same time.
class Lanes {
 public:
  Lanes(int executors, const TurnOptions& options);

  // An item in a batch that runs.
  struct RunningItem {
    uint64_t id;
    uint32_t caller;
    absl::Time deadline;
    absl::Status status;  // OK: its result is wanted
  };

  // Counts the time until `now`; precedes the other calls.
  void Advance(absl::Time now);
  // Passes turns on that are over, opens the gates of the lanes that have the turn, and decides
  // what idle executors help with.
  void SetTurns();

  // A lane that may begin a batch of the class now; -1: none. An executor with little or no long
  // work comes first.
  int FindFree(WorkClass work_class) const;
  // Whether the lane's executor may run one more long batch of this caller. Nobody may hold all
  // of its long lanes.
  bool MayRunLong(int lane, uint32_t caller) const;

  void Start(int lane, Batch batch);
  bool HasBatch(int lane) const { return !lanes_[lane].batch.items.empty(); }
  Batch TakeBatch(int lane);
  TaskGate& gate(int lane) { return lanes_[lane].gate; }

  // The lane whose batch the executor helps with, for as long as the value lasts; -1: none.
  const std::atomic<int>& helped_lane(int executor) const { return helped_lanes_[executor]; }

  // How the items of a batch end, in order, how long the batch had the turn, and how long it was
  // expected to have it without help.
  struct Finished {
    std::vector<absl::Status> ends;
    absl::Duration ran;
    absl::Duration expected;
    bool helped = false;  // another executor helped with it
  };
  // The lane's batch has been run. The lane gets none until it is ready again.
  Finished Finish(int lane, absl::Time now);
  // Does nothing if the lane has a batch by now.
  void MakeReady(int lane) { lanes_[lane].ready = lanes_[lane].running.empty(); }

  // Gives the running items that `matches` accepts the status that `make_status` makes, and stops
  // the batches that nobody wants any more. Each item gets a status of its own: ThreadSanitizer
  // does not see how Abseil counts the owners of a shared one.
  void StopRunning(absl::FunctionRef<bool(const RunningItem&)> matches,
                   absl::Status (*make_status)());

  // How long an item of this class that takes `own` would be kept waiting by what runs now, on
  // the executor where that is the shortest time.
  absl::Duration ExpectedWait(WorkClass work_class, absl::Duration own) const;
  absl::Duration ExpectedRemaining() const;  // of all batches
  bool all_share_with_long() const;          // every executor has long work
  // The most that a batch ran beyond its expected time, and whether one runs many times as long.
  absl::Duration Overrun(absl::Time now) const;
  // How long ago the oldest running batch began; 0 if none runs.
  absl::Duration Oldest(absl::Time now) const;
  bool IsOverdue(absl::Time now) const;

  bool idle() const;
  absl::Time NextChange() const;    // when SetTurns would change something by itself
  absl::Time NextDeadline() const;  // of the running items that are wanted

 private:
  struct Lane {
    Batch batch;  // until it is taken
    std::vector<RunningItem> running;
    absl::Time start;  // of the batch, as the next
    absl::Duration expected;
    bool ready = true;    // for a batch
    bool open = false;    // the gate
    bool helped = false;  // the batch, so far
    TaskGate gate;
  };

  void SetHelp(int executor);
  bool IsLongAndHasTurn(int lane) const;
  int CountHelpers(int lane) const;
  absl::Duration Remaining(int lane) const;
  // On the executor whose lanes begin with `first`.
  absl::Duration ExpectedLongWait(int first, absl::Duration own) const;

  std::vector<LaneTurns> turns_;  // indexed by executor
  std::deque<Lane> lanes_;
  std::deque<std::atomic<int>> helped_lanes_;  // indexed by executor
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_LANES_H_
