// SPDX-License-Identifier: Apache-2.0
#include "core/batching/lanes.h"

#include <algorithm>
#include <utility>

#include "core/batching/end_status.h"

namespace attend {
namespace {

// The long lanes of an executor that one caller may hold, so that others find one.
constexpr int kLongLanesPerCaller = kLongLanes - 1;

// A batch is overdue when it ran for longer than so many times its expected time and this time:
// predictions are seldom wrong by more than a factor of two.
constexpr double kOverdueFactor = 8.0;
constexpr absl::Duration kOverdueTime = absl::Seconds(2);

}  // namespace

Lanes::Lanes(int executors, const TurnOptions& options)
    : turns_(static_cast<size_t>(executors), LaneTurns(options)),
      lanes_(static_cast<size_t>(executors * kLanes)),
      helped_lanes_(static_cast<size_t>(executors)) {
  for (std::atomic<int>& lane : helped_lanes_) lane.store(-1);
}

void Lanes::Advance(absl::Time now) {
  for (LaneTurns& turns : turns_) turns.Advance(now);
}

void Lanes::SetTurns() {
  for (LaneTurns& turns : turns_) turns.Rotate();
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
    Lane& lane = lanes_[i];
    const bool open = turns_[i / kLanes].turn() == i % kLanes;
    if (lane.running.empty() || open == lane.open) continue;
    lane.open = open;
    open ? lane.gate.Open() : lane.gate.Close();
  }
  for (int executor = 0; executor < static_cast<int>(turns_.size()); ++executor) SetHelp(executor);
}

// An executor goes on with what it helps for as long as that has the turn. Otherwise it helps the
// batch that has the most left for each executor that computes it.
void Lanes::SetHelp(int executor) {
  std::atomic<int>& helped = helped_lanes_[executor];
  int best = -1;
  if (turns_[executor].turn() < 0) {
    best = helped.load(std::memory_order_relaxed);
    if (best >= 0 && IsLongAndHasTurn(best)) return;
    best = -1;
    absl::Duration most;
    for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
      if (!IsLongAndHasTurn(i)) continue;
      const absl::Duration left = Remaining(i) / (1 + CountHelpers(i));
      if (best >= 0 && left <= most) continue;
      best = i;
      most = left;
    }
  }
  helped.store(best, std::memory_order_relaxed);
  if (best >= 0) lanes_[best].helped = true;
}

bool Lanes::IsLongAndHasTurn(int lane) const {
  return lane % kLanes != kShortLane && !lanes_[lane].running.empty() && lanes_[lane].open;
}

int Lanes::CountHelpers(int lane) const {
  return static_cast<int>(std::count_if(
      helped_lanes_.begin(), helped_lanes_.end(),
      [lane](const auto& helped) { return helped.load(std::memory_order_relaxed) == lane; }));
}

int Lanes::FindFree(WorkClass work_class) const {
  int best = -1, least = 0;
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
    const LaneTurns& turns = turns_[i / kLanes];
    const bool is_short_lane = i % kLanes == kShortLane;
    if (is_short_lane != (work_class == WorkClass::kShort)) continue;
    if (!lanes_[i].ready || turns.busy(i % kLanes)) continue;
    if (is_short_lane && !turns.MayBeginShort()) continue;
    if (best < 0 || turns.CountLong() < least) {
      best = i;
      least = turns.CountLong();
    }
  }
  return best;
}

bool Lanes::MayRunLong(int lane, uint32_t caller) const {
  const int first = lane / kLanes * kLanes;
  int held = 0;
  for (int i = first + 1; i < first + kLanes; ++i) {
    const std::vector<RunningItem>& running = lanes_[i].running;
    held += std::any_of(running.begin(), running.end(),
                        [caller](const RunningItem& item) { return item.caller == caller; });
  }
  return held < kLongLanesPerCaller;
}

void Lanes::Start(int lane, Batch batch) {
  Lane& own = lanes_[lane];
  LaneTurns& turns = turns_[lane / kLanes];
  for (const WorkItem& item : batch.items) {
    own.running.push_back({item.id, item.caller, item.deadline, absl::OkStatus()});
  }
  own.start = batch.start;
  own.expected = batch.expected;
  own.helped = false;
  own.ready = false;
  own.batch = std::move(batch);
  turns.Begin(lane % kLanes);
  own.open = turns.turn() == lane % kLanes;
  own.gate.Reset(own.open);
}

Batch Lanes::TakeBatch(int lane) {
  return std::exchange(lanes_[lane].batch, {});
}

Lanes::Finished Lanes::Finish(int lane, absl::Time now) {
  Finished finished;
  finished.ran = turns_[lane / kLanes].End(lane % kLanes);
  finished.expected = lanes_[lane].expected;
  finished.helped = lanes_[lane].helped;
  for (RunningItem& item : lanes_[lane].running) {
    if (item.status.ok() && item.deadline <= now) item.status = ExpiredError();
    finished.ends.push_back(std::move(item.status));
  }
  lanes_[lane].running.clear();
  return finished;
}

void Lanes::StopRunning(absl::FunctionRef<bool(const RunningItem&)> matches,
                        absl::Status (*make_status)()) {
  for (Lane& lane : lanes_) {
    bool wanted = lane.running.empty();
    for (RunningItem& item : lane.running) {
      if (item.status.ok() && matches(item)) item.status = make_status();
      wanted |= item.status.ok();
    }
    if (!wanted) lane.gate.Stop();
  }
}

// The time that the lane's batch should still need. One that is overdue is assumed to need as
// long again as it has run.
absl::Duration Lanes::Remaining(int lane) const {
  if (lanes_[lane].running.empty()) return absl::ZeroDuration();
  const absl::Duration ran = turns_[lane / kLanes].ran(lane % kLanes);
  const absl::Duration expected = lanes_[lane].expected;
  return ran < expected ? expected - ran : ran;
}

absl::Duration Lanes::ExpectedWait(WorkClass work_class, absl::Duration own) const {
  absl::Duration least = absl::InfiniteDuration();
  for (int first = 0; first < static_cast<int>(lanes_.size()); first += kLanes) {
    absl::Duration wait;
    if (work_class == WorkClass::kShort) {
      wait = Remaining(first + kShortLane);
    } else {
      wait = ExpectedLongWait(first, own);
    }
    least = std::min(least, wait);
  }
  return least;
}

absl::Duration Lanes::ExpectedLongWait(int first, absl::Duration own) const {
  absl::Duration wait, soonest = absl::InfiniteDuration();
  for (int i = first + 1; i < first + kLanes; ++i) {
    const absl::Duration remaining = Remaining(i);
    // Long batches take turns, so each delays this one by at most as long as it takes itself.
    wait += std::min(remaining, own);
    soonest = std::min(soonest, remaining);
  }
  // With no lane free, one of the batches has to end first, while all of them take turns.
  return wait + kLongLanes * soonest;
}

absl::Duration Lanes::ExpectedRemaining() const {
  absl::Duration remaining;
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) remaining += Remaining(i);
  return remaining;
}

bool Lanes::all_share_with_long() const {
  return std::all_of(turns_.begin(), turns_.end(),
                     [](const LaneTurns& turns) { return turns.CountLong() > 0; });
}

absl::Duration Lanes::Oldest(absl::Time now) const {
  absl::Duration oldest;
  for (const Lane& lane : lanes_) {
    if (!lane.running.empty()) oldest = std::max(oldest, now - lane.start);
  }
  return oldest;
}

absl::Duration Lanes::Overrun(absl::Time now) const {
  absl::Duration overrun;
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
    if (lanes_[i].running.empty()) continue;
    const absl::Duration ran = turns_[i / kLanes].RanUntil(i % kLanes, now);
    overrun = std::max(overrun, ran - lanes_[i].expected);
  }
  return overrun;
}

bool Lanes::IsOverdue(absl::Time now) const {
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
    if (lanes_[i].running.empty()) continue;
    const absl::Duration ran = turns_[i / kLanes].RanUntil(i % kLanes, now);
    if (ran > kOverdueFactor * lanes_[i].expected + kOverdueTime) return true;
  }
  return false;
}

bool Lanes::idle() const {
  return std::all_of(turns_.begin(), turns_.end(),
                     [](const LaneTurns& turns) { return turns.turn() < 0; });
}

absl::Time Lanes::NextChange() const {
  absl::Time next = absl::InfiniteFuture();
  for (const LaneTurns& turns : turns_) next = std::min(next, turns.NextChange());
  return next;
}

absl::Time Lanes::NextDeadline() const {
  absl::Time next = absl::InfiniteFuture();
  for (const Lane& lane : lanes_) {
    for (const RunningItem& item : lane.running) {
      if (item.status.ok()) next = std::min(next, item.deadline);
    }
  }
  return next;
}

}  // namespace attend
