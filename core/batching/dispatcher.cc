// SPDX-License-Identifier: Apache-2.0
#include "core/batching/dispatcher.h"

#include <algorithm>
#include <optional>

#include "core/base/status.h"
#include "core/batching/end_status.h"

namespace attend {
namespace {

// What admission reckons with where a setting leaves long work no share beside short work: the
// short work will not last for ever.
constexpr double kLeastLongShare = 0.05;

}  // namespace

Dispatcher::Dispatcher(const SchedulerOptions& options)
    : options_(options), queue_(options.aging), lanes_(options.executors, options.turns) {
  standing_since_[0] = standing_since_[1] = absl::InfiniteFuture();
}

absl::StatusOr<uint64_t> Dispatcher::Offer(WorkItem& item, absl::Time now,
                                           std::vector<EndedItem>& ended) {
  lanes_.Advance(now);
  Predict(item, now);
  absl::Status status = draining_ ? DrainingError() : absl::OkStatus();
  if (status.ok()) {
    status = CheckAdmission({item.deadline - now, item.batch_expected + item.expected},
                            MeasureLoad(item, now), options_.queue);
  }
  if (status.ok()) status = MakeRoom(item, ended);
  backoff_.OnArrival(item.caller, item.priority, item.work_class, now);
  if (!status.ok()) {
    ++stats_.refused;
    if (GetErrorInfo(status).reason == "QUEUE_FULL") {
      backoff_.OnRefused(item.caller, item.priority, item.work_class, now,
                         GetRetryPushback(status));
    }
    Tick(now, ended);  // what Advance has made due
    return status;
  }
  ++stats_.accepted;
  const uint64_t id = next_id_++;
  item.id = id;
  item.enqueued = now;
  next_deadline_ = std::min(next_deadline_, item.deadline);
  queue_.Push(std::move(item));
  Tick(now, ended);
  return id;
}

void Dispatcher::Predict(WorkItem& item, absl::Time now) const {
  const double factor = correction_.Factor(item.runner, now);
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
  return (lanes_.ExpectedRemaining() + queue_.totals().expected) / options_.executors;
}

Load Dispatcher::MeasureLoad(const WorkItem& item, absl::Time now) const {
  absl::Duration queued = queue_.ExpectedAhead(item) / options_.executors;
  // Each batch ahead takes its own time besides that of its items.
  queued += item.batch_expected * absl::FDivDuration(queued, options_.batch.target);
  Load load;
  load.standing = HasStandingQueue(item.work_class, now);
  load.wait = queued + lanes_.ExpectedWait(item.work_class, item.batch_expected + item.expected);
  const double long_share = options_.turns.long_share;
  if (item.work_class == WorkClass::kShort) {
    if (lanes_.all_share_with_long()) load.slowdown = 1.0 / (1.0 - long_share);
  } else if (HasStandingQueue(WorkClass::kShort, now)) {
    load.slowdown = 1.0 / std::max(long_share, kLeastLongShare);
  }
  load.wait *= load.slowdown;
  return load;
}

bool Dispatcher::HasStandingQueue(WorkClass work_class, absl::Time now) const {
  return now - standing_since_[static_cast<int>(work_class)] >= options_.queue.standing_after;
}

absl::Status Dispatcher::CheckRoom(uint32_t caller, absl::Time now) const {
  if (draining_) return DrainingError();
  const absl::Duration remaining = backoff_.Remaining(caller, now);
  if (remaining == absl::ZeroDuration()) return absl::OkStatus();
  return QueueFullError(queue_.totals().requests, remaining);
}

void Dispatcher::Cancel(uint64_t id, absl::Time now, std::vector<EndedItem>& ended) {
  if (std::optional<WorkItem> item = queue_.TakeById(id)) {
    ++stats_.in_hand;
    ended.push_back({*std::move(item), CancelledError()});
  } else {
    lanes_.StopRunning([id](const Lanes::RunningItem& running) { return running.id == id; },
                       CancelledError);
  }
  Tick(now, ended);
}

absl::Time Dispatcher::NextTick() const {
  return std::min(next_deadline_, lanes_.NextChange());
}

void Dispatcher::StopAll(absl::Status (*make_status)(), absl::Time now,
                         std::vector<EndedItem>& ended) {
  lanes_.StopRunning([](const Lanes::RunningItem&) { return true; }, make_status);
  EndQueued(queue_.TakeAll(), make_status, ended);
  Tick(now, ended);
}

void Dispatcher::Tick(absl::Time now, std::vector<EndedItem>& ended) {
  lanes_.Advance(now);
  if (next_deadline_ <= now) {
    EndQueued(queue_.TakeExpired(now), ExpiredError, ended);
    lanes_.StopRunning([now](const Lanes::RunningItem& item) { return item.deadline <= now; },
                       ExpiredError);
    next_deadline_ = std::min(queue_.NextDeadline(), lanes_.NextDeadline());
  }
  for (const WorkClass work_class : {WorkClass::kShort, WorkClass::kLong}) {
    StartBatches(work_class, now, ended);
    absl::Time& since = standing_since_[static_cast<int>(work_class)];
    since = queue_.has(work_class) ? std::min(since, now) : absl::InfiniteFuture();
  }
  lanes_.SetTurns();
  if (queue_.empty() && lanes_.idle()) queue_.ForgetIdleFlows();
}

void Dispatcher::StartBatches(WorkClass work_class, absl::Time now, std::vector<EndedItem>& ended) {
  while (queue_.has(work_class)) {
    const int lane = lanes_.FindFree(work_class);
    if (lane < 0) return;
    const auto may_run = [&](uint32_t caller) {
      return work_class == WorkClass::kShort || lanes_.MayRunLong(lane, caller);
    };
    std::vector<WorkItem> expired;
    Batch batch;
    batch.items = queue_.TakeBatch(work_class, options_.batch, now, may_run, expired);
    EndQueued(std::move(expired), ExpiredError, ended);
    if (batch.items.empty()) return;
    stats_.in_hand += static_cast<int64_t>(batch.items.size());
    batch.start = now;
    batch.expected = batch.items.front().batch_expected;
    for (const WorkItem& item : batch.items) {
      batch.cost += item.cost;
      batch.expected += item.expected;
    }
    batch.predicted_seconds = batch.items.front().runner->batch_seconds() + batch.cost.seconds;
    lanes_.Start(lane, std::move(batch));
    started_.push_back(lane);
  }
}

Lanes::Finished Dispatcher::Finish(int lane, const Batch& batch, bool computed, absl::Time now,
                                   std::vector<EndedItem>& ended) {
  lanes_.Advance(now);
  Lanes::Finished finished = lanes_.Finish(lane, now);
  // The time of a batch that had help says nothing of the next one. A batch that its deadlines
  // stopped took at least so long. Without this, work that is slower
  // than predicted would expire for ever and never be refused.
  const bool expired = std::any_of(finished.ends.begin(), finished.ends.end(),
                                   [](const auto& end) { return absl::IsDeadlineExceeded(end); });
  if ((computed && !finished.helped) || (expired && finished.ran > finished.expected)) {
    correction_.Observe(batch.items.front().runner, batch.predicted_seconds,
                        absl::ToDoubleSeconds(finished.ran), now);
  }
  Tick(now, ended);
  return finished;
}

void Dispatcher::MakeReady(int lane, absl::Time now, std::vector<EndedItem>& ended) {
  lanes_.MakeReady(lane);
  Tick(now, ended);
}

void Dispatcher::EndQueued(std::vector<WorkItem> items, absl::Status (*make_status)(),
                           std::vector<EndedItem>& ended) {
  stats_.in_hand += static_cast<int64_t>(items.size());
  for (WorkItem& item : items) ended.push_back({std::move(item), make_status()});
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
  stats.batch_oldest = lanes_.Oldest(now);
  stats.overrun = lanes_.Overrun(now);
  stats.overdue = lanes_.IsOverdue(now);
  return stats;
}

}  // namespace attend
