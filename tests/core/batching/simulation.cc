// SPDX-License-Identifier: Apache-2.0
#include "tests/core/batching/simulation.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/batching/end_status.h"

namespace attend {

class Simulation::SimulatedWork final : public Work {
 public:
  SimulatedWork(Simulation& simulation, SimulatedItem& item)
      : simulation_(simulation), item_(item) {}

  SimulatedItem& item() { return item_; }
  void Prepare(int) override {}
  void End(absl::StatusOr<Timing> result) override {
    ++item_.ends;
    item_.end = simulation_.now_;
    item_.status = result.status();
  }

 private:
  Simulation& simulation_;
  SimulatedItem& item_;
};

Simulation::Simulation(const SchedulerOptions& options)
    : options_(options),
      dispatcher_(options),
      lanes_(static_cast<size_t>(options.executors * kLanes)) {}

Simulation::~Simulation() = default;

SimulatedItem& Simulation::Submit(SimulatedRunner* runner, double seconds, uint32_t caller,
                                  Priority priority, absl::Duration time_left) {
  SimulatedItem& record = items_.emplace_back();
  record.caller = caller;
  record.priority = priority;
  record.runner = runner;
  record.seconds = seconds;
  record.arrival = now_;
  record.deadline = now_ + time_left;
  WorkItem item;
  item.runner = runner;
  item.priority = priority;
  item.caller = caller;
  item.cost = {seconds, 1.0, 1, 100};
  item.deadline = record.deadline;
  item.work = std::make_unique<SimulatedWork>(*this, record);
  std::vector<EndedItem> ended;
  ++submitted_;
  const absl::StatusOr<uint64_t> id = dispatcher_.Offer(item, now_, ended);
  if (id.ok()) {
    record.id = *id;
  } else {
    if (item.work == nullptr) Violate("a refused item was taken");
    item.work->End(id.status());
  }
  End(std::move(ended));
  StartBatches();
  Check();
  return record;
}

void Simulation::Cancel(SimulatedItem& item) {
  if (item.id == 0) return;
  std::vector<EndedItem> ended;
  if (item.ends == 0) item.cancelled = true;
  dispatcher_.Cancel(item.id, now_, ended);
  End(std::move(ended));
  StartBatches();
  Check();
}

void Simulation::EndDrain() {
  std::vector<EndedItem> ended;
  dispatcher_.Refuse();
  dispatcher_.StopAll(DrainingError, now_, ended);
  End(std::move(ended));
  StartBatches();
  Check();
}

void Simulation::Jump(absl::Duration duration) {
  now_ += duration;
  AdvanceTo(now_);
}

void Simulation::AdvanceTo(absl::Time time) {
  int ticks = 0;  // without a moment between them
  while (true) {
    while (FinishOne()) {
    }
    if (dispatcher_.NextTick() <= now_) {
      if (++ticks > 100) return Violate("ticks change nothing");
      std::vector<EndedItem> ended;
      dispatcher_.Tick(now_, ended);
      End(std::move(ended));
      StartBatches();
      Check();
      continue;
    }
    CheckStopped();
    if (now_ >= time) return;
    const absl::Time next = std::min(NextEvent(), time);
    Progress(next - now_);
    now_ = next;
    ticks = 0;
  }
}

void Simulation::RunToEnd() {
  const absl::Time limit = now_ + absl::Hours(1);
  while (violation_.empty() && !dispatcher_.empty() && now_ < limit) {
    AdvanceTo(std::min(NextEvent(), limit));
  }
  if (!dispatcher_.empty()) Violate("something never ends");
  for (const SimulatedItem& item : items_) {
    if (item.ends != 1) Violate(absl::StrCat("item ", item.id, " ended ", item.ends, " times"));
  }
}

double Simulation::ServedSeconds(WorkClass work_class, uint32_t caller) const {
  const auto found = served_.find({work_class, caller});
  return found == served_.end() ? 0.0 : found->second;
}

void Simulation::StartBatches() {
  for (const int index : dispatcher_.TakeStarted()) {
    Lane& lane = lanes_[index];
    if (IsBusy(lane)) Violate("a busy lane was given a batch");
    lane.batch = dispatcher_.TakeBatch(index);
    const auto* runner = static_cast<const SimulatedRunner*>(lane.batch.items.front().runner);
    const double factor = noise();
    lane.fails = factor < 0.0;
    lane.needs = std::abs(factor) * runner->truth * lane.batch.predicted_seconds;
    if (lane.fails) lane.needs /= 2.0;
    lane.done = 0.0;
    lane.work_class = lane.batch.items.front().work_class;
    const bool is_long_lane = index % kLanes != kShortLane;
    if (is_long_lane != (lane.work_class == WorkClass::kLong)) Violate("a batch on a wrong lane");
    for (WorkItem& item : lane.batch.items) {
      SimulatedItem& record = static_cast<SimulatedWork&>(*item.work).item();
      record.start = now_;
      if (item.runner != runner) Violate("a batch of two runners");
      if (record.ends > 0 || record.cancelled) Violate("a batch holds what has ended");
      if (item.deadline <= now_) Violate("a batch holds what has expired");
      uint64_t& last = last_started_[{item.work_class, item.priority, item.caller, item.runner}];
      if (item.id < last) Violate(absl::StrCat("item ", item.id, " began after ", last));
      last = item.id;
    }
  }
}

bool Simulation::FinishOne() {
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
    const Lane& lane = lanes_[i];
    if (!IsBusy(lane)) continue;
    if (lane.done < lane.needs - 1e-9 && !dispatcher_.gate(i).stopped()) continue;
    FinishBatch(i);
    return true;
  }
  return false;
}

void Simulation::FinishBatch(int index) {
  Lane& lane = lanes_[index];
  Batch batch = std::exchange(lane.batch, {});
  std::vector<EndedItem> ended;
  const bool computed = !lane.fails && !dispatcher_.gate(index).stopped();
  Lanes::Finished finished = dispatcher_.Finish(index, batch, computed, now_, ended);
  for (size_t i = 0; i < batch.items.size(); ++i) {
    SimulatedItem& record = static_cast<SimulatedWork&>(*batch.items[i].work).item();
    const absl::Status& status = finished.ends[i];
    if (record.cancelled && status.ok()) Violate("a cancelled item ended with a result");
    if (record.deadline < now_ && status.ok()) Violate("an expired item ended with a result");
    if (!computed && !lane.fails && status.ok()) Violate("a stopped item ended with a result");
    batch.items[i].work->End(status.ok() ? absl::StatusOr<Timing>(Timing()) : status);
    dispatcher_.CountEnd(status.code());
  }
  dispatcher_.MakeReady(index, now_, ended);
  End(std::move(ended));
  StartBatches();
  Check();
}

void Simulation::End(std::vector<EndedItem> ended) {
  for (EndedItem& end : ended) {
    end.item.work->End(end.status);
    dispatcher_.CountEnd(end.status.code());
  }
}

absl::Time Simulation::NextEvent() const {
  absl::Time next = dispatcher_.NextTick();
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
    const Lane& lane = lanes_[i];
    if (!IsBusy(lane) || !const_cast<Dispatcher&>(dispatcher_).gate(i).open()) continue;
    // Rounded up, so that the batch is done then.
    next = std::min(next, now_ + absl::Seconds((lane.needs - lane.done) / CountExecutors(i)) +
                              absl::Nanoseconds(1));
  }
  return next;
}

void Simulation::Progress(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
    Lane& lane = lanes_[i];
    if (!IsBusy(lane) || !dispatcher_.gate(i).open()) continue;
    lane.done += seconds * CountExecutors(i);
    for (const WorkItem& item : lane.batch.items) {
      served_[{lane.work_class, item.caller}] +=
          seconds * item.cost.seconds / lane.batch.cost.seconds;
    }
  }
}

int Simulation::CountExecutors(int lane) const {
  int count = 1;
  for (int executor = 0; executor < options_.executors; ++executor) {
    count += dispatcher_.helped_lane(executor).load() == lane;
  }
  return count;
}

void Simulation::CheckHelp(int executor) {
  const int first = executor * kLanes;
  const bool busy = std::any_of(lanes_.begin() + first, lanes_.begin() + first + kLanes,
                                [this](const Lane& lane) { return IsBusy(lane); });
  const int helped = dispatcher_.helped_lane(executor).load();
  if (helped >= 0) {
    if (busy) Violate("an executor with work helps another");
    if (!IsBusy(lanes_[helped]) || lanes_[helped].work_class != WorkClass::kLong) {
      Violate("an executor helps what does not run or is short");
    }
  } else if (!busy) {
    for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
      if (IsBusy(lanes_[i]) && i % kLanes != kShortLane && dispatcher_.gate(i).open()) {
        Violate("an idle executor does not help");
      }
    }
  }
}

void Simulation::Check() {
  const SchedulerStats stats = dispatcher_.stats(now_);
  const QueueLimits& limits = options_.queue;
  if (stats.queue_requests > limits.max_requests) Violate("the queue holds too many items");
  if (stats.queue_bytes > limits.max_bytes) Violate("the queue holds too many bytes");
  if (stats.queue_requests > 1 &&
      stats.queue_expected > limits.max_expected + absl::Microseconds(1)) {
    Violate("the queue holds too much work");
  }
  if (stats.accepted + stats.refused != submitted_ ||
      stats.accepted != stats.queue_requests + stats.in_hand + stats.run + stats.expired +
                            stats.cancelled + stats.dropped + stats.displaced) {
    Violate("the counters do not add up");
  }
  for (int executor = 0; executor < options_.executors; ++executor) {
    CheckHelp(executor);
    int open = 0, busy = 0, running = 0;
    for (int i = executor * kLanes; i < (executor + 1) * kLanes; ++i) {
      if (!IsBusy(lanes_[i])) continue;
      ++busy;
      running += dispatcher_.gate(i).open();
      open += dispatcher_.gate(i).open() || dispatcher_.gate(i).stopped();
    }
    if (busy > 0 && open == 0) Violate("an executor with work stands still");
    if (running > 1) Violate("two lanes of an executor have the turn");
    if (stats.queue_requests > 0 && busy == 0) Violate("an executor waits beside a queue");
  }
}

// Once everything due has been done: what nobody wants any more does not run.
void Simulation::CheckStopped() {
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
    const std::vector<WorkItem>& items = lanes_[i].batch.items;
    const auto is_unwanted = [this](const WorkItem& item) {
      return item.deadline <= now_ || static_cast<SimulatedWork&>(*item.work).item().cancelled;
    };
    if (!items.empty() && std::all_of(items.begin(), items.end(), is_unwanted) &&
        !dispatcher_.gate(i).stopped()) {
      Violate("a batch runs that nobody wants");
    }
  }
}

void Simulation::Violate(const std::string& what) {
  if (violation_.empty())
    violation_ = absl::StrCat(what, " at ", absl::FormatDuration(now_ - absl::UnixEpoch()));
}

}  // namespace attend
