// SPDX-License-Identifier: Apache-2.0
#include "core/batching/dispatcher.h"

#include <algorithm>
#include <optional>

#include "core/batching/end_status.h"

namespace attend {
namespace {

// The long lanes of an executor that one caller may hold, so that others find one.
constexpr int kLongLanesPerCaller = kLongLanes - 1;

}  // namespace

Dispatcher::Dispatcher(const SchedulerOptions& options)
    : options_(options),
      queue_(options.aging),
      turns_(static_cast<size_t>(options.executors), LaneTurns(options.turns)),
      lanes_(static_cast<size_t>(options.executors * kLanes)) {
  standing_since_[0] = standing_since_[1] = absl::InfiniteFuture();
}

absl::StatusOr<uint64_t> Dispatcher::Offer(WorkItem& item, absl::Time now,
                                           std::vector<EndedItem>& ended) {
  for (LaneTurns& turns : turns_) turns.Advance(now);
  Predict(item);
  absl::Status status = draining_ ? DrainingError() : absl::OkStatus();
  if (status.ok()) {
    status = CheckAdmission({item.deadline - now, item.batch_expected + item.expected},
                            MeasureLoad(item, now), options_.queue);
  }
  if (status.ok()) status = MakeRoom(item, ended);
  if (!status.ok()) {
    ++stats_.refused;
    return status;
  }
  ++stats_.accepted;
  const uint64_t id = next_id_++;
  item.id = id;
  item.enqueued = now;
  next_deadline_ = std::min(next_deadline_, item.deadline);
  queue_.Push(std::move(item));
  Dispatch(now, ended);
  return id;
}

void Dispatcher::Predict(WorkItem& item) const {
  const double factor = correction_.Factor(item.runner);
  item.expected = absl::Seconds(factor * item.cost.seconds);
  item.batch_expected = absl::Seconds(factor * item.runner->batch_seconds());
  item.work_class = item.batch_expected + item.expected > options_.short_limit ? WorkClass::kLong
                                                                               : WorkClass::kShort;
}

// Gives the room of other items to this one where the queue has none left.
absl::Status Dispatcher::MakeRoom(const WorkItem& item, std::vector<EndedItem>& ended) {
  const QueueLimits& limits = options_.queue;
  // The counts are subtracted, because the sum of two int64 may overflow.
  const auto fits = [&](const FairQueue::Totals& totals) {
    return totals.requests < limits.max_requests &&
           item.cost.bytes <= limits.max_bytes - totals.bytes &&
           (totals.requests == 0 || totals.expected + item.expected <= limits.max_expected);
  };
  if (fits(queue_.totals())) return absl::OkStatus();
  const absl::Duration drain_time = DrainTime();
  FairQueue::Totals kept = queue_.totals();
  const FairQueue::Totals below = queue_.TotalsBelow(item.priority);
  kept.requests -= below.requests;
  kept.bytes -= below.bytes;
  kept.expected -= below.expected;
  if (below.requests == 0) {
    // One item of the caller that has the most may go.
    if (const WorkItem* victim = queue_.FindVictim(item)) kept.Remove(*victim);
  }
  if (!fits(kept)) return QueueFullError(queue_.totals().requests, drain_time);
  while (!fits(queue_.totals())) {
    const WorkItem* victim = queue_.FindVictim(item);
    if (victim == nullptr) return QueueFullError(queue_.totals().requests, drain_time);
    ++stats_.in_hand;
    ended.push_back({*queue_.TakeById(victim->id), DisplacedError(drain_time)});
  }
  return absl::OkStatus();
}

absl::Duration Dispatcher::DrainTime() const {
  absl::Duration running;
  for (int lane = 0; lane < static_cast<int>(lanes_.size()); ++lane) running += Remaining(lane);
  return (running + queue_.totals().expected) / options_.executors;
}

// The time that the lane's batch should still need. One that is overdue is assumed to need as
// long again as it has run.
absl::Duration Dispatcher::Remaining(int lane) const {
  if (lanes_[lane].running.empty()) return absl::ZeroDuration();
  const absl::Duration ran = turns_[lane / kLanes].ran(lane % kLanes);
  const absl::Duration expected = lanes_[lane].expected;
  return ran < expected ? expected - ran : ran;
}

Load Dispatcher::MeasureLoad(const WorkItem& item, absl::Time now) const {
  Load load;
  load.standing =
      now - standing_since_[static_cast<int>(item.work_class)] >= options_.queue.standing_after;
  const absl::Duration own = item.batch_expected + item.expected;
  const bool is_short = item.work_class == WorkClass::kShort;
  absl::Duration running = absl::InfiniteDuration();  // on the executor that is free soonest
  bool shared = true;                                 // every executor has long work
  for (int executor = 0; executor < options_.executors; ++executor) {
    const LaneTurns& turns = turns_[executor];
    absl::Duration ahead;
    if (is_short) {
      ahead = turns.MayBeginShort() ? absl::ZeroDuration() : Remaining(executor * kLanes);
    } else {
      // Long batches take turns, so each delays this one by at most as long as it takes itself.
      for (int lane = 1; lane < kLanes; ++lane) {
        ahead += std::min(Remaining(executor * kLanes + lane), own);
      }
    }
    running = std::min(running, ahead);
    shared &= turns.CountLong() > 0;
  }
  absl::Duration queued = queue_.ExpectedAhead(item) / options_.executors;
  // Each batch ahead takes its own time besides that of its items.
  queued += item.batch_expected * absl::FDivDuration(queued, options_.batch.target);
  if (is_short && shared) queued *= 1.0 / (1.0 - options_.turns.long_share);
  load.wait = running + queued;
  return load;
}

absl::Status Dispatcher::CheckRoom() const {
  if (draining_) return DrainingError();
  // Priorities and callers may displace others, so a full queue refuses nobody here.
  return absl::OkStatus();
}

void Dispatcher::Cancel(uint64_t id, absl::Time now, std::vector<EndedItem>& ended) {
  if (std::optional<WorkItem> item = queue_.TakeById(id)) {
    ++stats_.in_hand;
    ended.push_back({*std::move(item), CancelledError()});
  } else {
    StopRunning([id](const RunningItem& running) { return running.id == id; }, CancelledError);
  }
  Dispatch(now, ended);
}

void Dispatcher::Tick(absl::Time now, std::vector<EndedItem>& ended) {
  if (next_deadline_ <= now) {
    EndQueued(queue_.TakeExpired(now), ExpiredError, ended);
    StopRunning([now](const RunningItem& item) { return item.deadline <= now; }, ExpiredError);
    next_deadline_ = NextDeadline();
  }
  Dispatch(now, ended);
}

absl::Time Dispatcher::NextTick() const {
  absl::Time next = next_deadline_;
  for (const LaneTurns& turns : turns_) next = std::min(next, turns.NextChange());
  return next;
}

void Dispatcher::StopAll(absl::Status (*make_status)(), absl::Time now,
                         std::vector<EndedItem>& ended) {
  StopRunning([](const RunningItem&) { return true; }, make_status);
  EndQueued(queue_.TakeAll(), make_status, ended);
  Dispatch(now, ended);
}

// Gives every free lane a batch if there is one for it.
void Dispatcher::Dispatch(absl::Time now, std::vector<EndedItem>& ended) {
  for (LaneTurns& turns : turns_) {
    turns.Advance(now);
    turns.Rotate();
  }
  while (queue_.has(WorkClass::kShort)) {
    const int lane = FindShortLane();
    if (lane < 0 || !StartBatch(lane, WorkClass::kShort, now, ended)) break;
  }
  while (queue_.has(WorkClass::kLong)) {
    const int lane = FindLongLane();
    if (lane < 0 || !StartBatch(lane, WorkClass::kLong, now, ended)) break;
  }
  for (const WorkClass work_class : {WorkClass::kShort, WorkClass::kLong}) {
    absl::Time& since = standing_since_[static_cast<int>(work_class)];
    since = queue_.has(work_class) ? std::min(since, now) : absl::InfiniteFuture();
  }
  SetGates();
}

// An executor without long work comes first: there, nothing is suspended.
int Dispatcher::FindShortLane() const {
  int found = -1;
  for (int executor = 0; executor < options_.executors; ++executor) {
    if (!turns_[executor].MayBeginShort()) continue;
    if (turns_[executor].CountLong() == 0) return executor * kLanes + kShortLane;
    if (found < 0) found = executor * kLanes + kShortLane;
  }
  return found;
}

// The executor with the least long work comes first.
int Dispatcher::FindLongLane() const {
  int best = -1;
  for (int executor = 0; executor < options_.executors; ++executor) {
    const int count = turns_[executor].CountLong();
    if (count < kLongLanes && (best < 0 || count < turns_[best].CountLong())) best = executor;
  }
  if (best < 0) return -1;
  int lane = kShortLane + 1;
  while (turns_[best].busy(lane)) ++lane;
  return best * kLanes + lane;
}

bool Dispatcher::MayRunLong(int executor, uint32_t caller) const {
  int held = 0;
  for (int lane = kShortLane + 1; lane < kLanes; ++lane) {
    const std::vector<RunningItem>& running = lanes_[executor * kLanes + lane].running;
    held += std::any_of(running.begin(), running.end(),
                        [caller](const RunningItem& item) { return item.caller == caller; });
  }
  return held < kLongLanesPerCaller;
}

bool Dispatcher::StartBatch(int lane, WorkClass work_class, absl::Time now,
                            std::vector<EndedItem>& ended) {
  const auto may_run = [&](uint32_t caller) {
    return work_class == WorkClass::kShort || MayRunLong(lane / kLanes, caller);
  };
  std::vector<WorkItem> expired;
  Batch batch;
  batch.items = queue_.TakeBatch(work_class, options_.batch, now, may_run, expired);
  EndQueued(std::move(expired), ExpiredError, ended);
  if (batch.items.empty()) return false;
  stats_.in_hand += static_cast<int64_t>(batch.items.size());
  batch.start = now;
  Lane& own = lanes_[lane];
  own.expected = batch.items.front().batch_expected;
  for (const WorkItem& item : batch.items) {
    batch.cost += item.cost;
    own.expected += item.expected;
    own.running.push_back({item.id, item.caller, item.deadline, absl::OkStatus()});
  }
  batch.predicted_seconds = batch.items.front().runner->batch_seconds() + batch.cost.seconds;
  own.batch = std::move(batch);
  turns_[lane / kLanes].Begin(lane % kLanes);
  own.open = turns_[lane / kLanes].turn() == lane % kLanes;
  own.gate.Reset(own.open);
  started_.push_back(lane);
  return true;
}

// Opens the gates of the lanes that have the turn and closes the others'.
void Dispatcher::SetGates() {
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
    Lane& lane = lanes_[i];
    const bool open = turns_[i / kLanes].turn() == i % kLanes;
    if (lane.running.empty() || open == lane.open) continue;
    lane.open = open;
    open ? lane.gate.Open() : lane.gate.Close();
  }
}

Batch Dispatcher::TakeBatch(int lane) {
  return std::exchange(lanes_[lane].batch, {});
}

Dispatcher::Finished Dispatcher::Finish(int lane, const Batch& batch, bool computed, absl::Time now,
                                        std::vector<EndedItem>& ended) {
  LaneTurns& turns = turns_[lane / kLanes];
  turns.Advance(now);
  Finished finished;
  finished.ran = turns.End(lane % kLanes);
  finished.expected = lanes_[lane].expected;
  bool expired = false;
  for (RunningItem& item : lanes_[lane].running) {
    if (item.status.ok() && item.deadline <= now) item.status = ExpiredError();
    expired |= absl::IsDeadlineExceeded(item.status);
    finished.ends.push_back(std::move(item.status));
  }
  lanes_[lane].running.clear();
  // A batch that its deadlines stopped took at least so long. Without this, work that is slower
  // than predicted would expire for ever and never be refused.
  if (computed || (expired && finished.ran > lanes_[lane].expected)) {
    correction_.Observe(batch.items.front().runner, batch.predicted_seconds,
                        absl::ToDoubleSeconds(finished.ran));
  }
  Dispatch(now, ended);
  const auto is_idle = [](const LaneTurns& other) { return other.turn() < 0; };
  if (queue_.empty() && std::all_of(turns_.begin(), turns_.end(), is_idle)) {
    queue_.ForgetIdleFlows();
  }
  return finished;
}

void Dispatcher::StopRunning(absl::FunctionRef<bool(const RunningItem&)> matches,
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

void Dispatcher::EndQueued(std::vector<WorkItem> items, absl::Status (*make_status)(),
                           std::vector<EndedItem>& ended) {
  stats_.in_hand += static_cast<int64_t>(items.size());
  for (WorkItem& item : items) ended.push_back({std::move(item), make_status()});
}

absl::Time Dispatcher::NextDeadline() const {
  absl::Time next = queue_.NextDeadline();
  for (const Lane& lane : lanes_) {
    for (const RunningItem& item : lane.running) {
      if (item.status.ok()) next = std::min(next, item.deadline);
    }
  }
  return next;
}

void Dispatcher::CountEnd(absl::StatusCode code) {
  --stats_.in_hand;
  switch (code) {
    case absl::StatusCode::kOk:
      ++stats_.run;
      break;
    case absl::StatusCode::kDeadlineExceeded:
      ++stats_.expired;
      break;
    case absl::StatusCode::kCancelled:
      ++stats_.cancelled;
      break;
    case absl::StatusCode::kResourceExhausted:
      ++stats_.displaced;
      break;
    default:
      ++stats_.dropped;
      break;
  }
}

SchedulerStats Dispatcher::stats(absl::Time now) const {
  SchedulerStats stats = stats_;
  const FairQueue::Totals& queued = queue_.totals();
  stats.queue_requests = queued.requests;
  stats.queue_bytes = queued.bytes;
  stats.queue_expected = queued.expected;
  if (!queue_.empty()) stats.queue_oldest = now - queue_.OldestArrival();
  for (int i = 0; i < static_cast<int>(lanes_.size()); ++i) {
    if (lanes_[i].running.empty()) continue;
    stats.overrun =
        std::max(stats.overrun, turns_[i / kLanes].ran(i % kLanes) - lanes_[i].expected);
  }
  return stats;
}

}  // namespace attend
