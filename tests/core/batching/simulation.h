// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_BATCHING_SIMULATION_H_
#define ATTEND_TESTS_CORE_BATCHING_SIMULATION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/batching/dispatcher.h"

namespace attend {

// A runner with a prediction that is wrong by `truth`; the simulation runs its batches.
class SimulatedRunner final : public BatchRunner {
 public:
  explicit SimulatedRunner(double batch_seconds = 0.0, double true_ratio = 1.0)
      : truth(true_ratio), batch_seconds_(batch_seconds) {}
  double batch_seconds() const override { return batch_seconds_; }
  bool Run(int, TaskGate&) override { return false; }

  const double truth;  // time that batches take, divided by the predicted time

 private:
  const double batch_seconds_;
};

// What became of one item.
struct SimulatedItem {
  uint64_t id = 0;
  uint32_t caller = 0;
  Priority priority = Priority::kNormal;
  const BatchRunner* runner = nullptr;
  double seconds = 0.0;  // predicted
  absl::Time arrival, start = absl::InfiniteFuture(), end, deadline;
  bool cancelled = false;
  int ends = 0;
  absl::Status status;
};

// Runs the batches of a dispatcher on a clock of its own, in one thread: the lanes that have the
// turn advance while time passes. After each step it checks what must always be true, and
// records the first violation.
class Simulation {
 public:
  explicit Simulation(const SchedulerOptions& options);
  ~Simulation();

  absl::Time now() const { return now_; }
  Dispatcher& dispatcher() { return dispatcher_; }

  // Offers an item of `seconds` predicted time, beside its runner's own. Returns its record; id 0
  // if it was refused.
  SimulatedItem& Submit(SimulatedRunner* runner, double seconds, uint32_t caller = 1,
                        Priority priority = Priority::kNormal,
                        absl::Duration time_left = absl::InfiniteDuration());
  void Cancel(SimulatedItem& item);

  // Lets time pass and executes what happens meanwhile.
  void AdvanceTo(absl::Time time);
  void Advance(absl::Duration duration) { AdvanceTo(now_ + duration); }
  // Lets time jump, as a clock that somebody sets.
  void Jump(absl::Duration duration);
  // Refuses new items and stops all others now.
  void EndDrain();
  // Advances until nothing is left. At most for an hour of simulated time.
  void RunToEnd();

  // Called when a batch begins: the time that its predictions are multiplied with, besides the
  // runner's truth; negative: it fails halfway.
  std::function<double()> noise = [] { return 1.0; };

  const std::deque<SimulatedItem>& items() const { return items_; }
  // Time in which batches of this class ran, by caller.
  double ServedSeconds(WorkClass work_class, uint32_t caller) const;
  const std::string& violation() const { return violation_; }

 private:
  struct Lane {
    Batch batch;
    double needs = 0.0;  // seconds
    double done = 0.0;
    bool fails = false;
    WorkClass work_class = WorkClass::kShort;
  };
  class SimulatedWork;

  bool IsBusy(const Lane& lane) const { return !lane.batch.items.empty(); }
  void StartBatches();
  void FinishBatch(int lane);
  // Finishes batches that are done or stopped. Returns whether there was one.
  bool FinishOne();
  void End(std::vector<EndedItem> ended);
  absl::Time NextEvent() const;
  void Progress(absl::Duration duration);
  // Those that compute the lane's batch: its own and those that help.
  int CountExecutors(int lane) const;
  void Check();
  void CheckHelp(int executor);
  void CheckStopped();
  void Violate(const std::string& what);

  const SchedulerOptions options_;
  Dispatcher dispatcher_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  std::deque<SimulatedItem> items_;
  std::vector<Lane> lanes_;
  int64_t submitted_ = 0;
  std::map<std::pair<WorkClass, uint32_t>, double> served_;
  std::map<std::tuple<WorkClass, Priority, uint32_t, const BatchRunner*>, uint64_t> last_started_;
  std::string violation_;
};

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_BATCHING_SIMULATION_H_
