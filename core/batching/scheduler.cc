// SPDX-License-Identifier: Apache-2.0
#include "core/batching/scheduler.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/batching/end_status.h"

namespace attend {
namespace {

// The longest single wait; waits are in loops.
constexpr absl::Duration kMaxWait = absl::Hours(1);

std::chrono::nanoseconds WaitTime(absl::Duration duration) {
  return absl::ToChronoNanoseconds(std::clamp(duration, absl::Nanoseconds(1), kMaxWait));
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options, const Clock& clock, BatchObserver* observer)
    : options_(options),
      clock_(clock),
      observer_(observer),
      executors_(static_cast<size_t>(options.executors)) {
  for (int executor = 0; executor < options_.executors; ++executor) {
    threads_.emplace_back([this, executor] { Execute(executor); });
  }
  threads_.emplace_back([this] { WatchDeadlines(); });
}

Scheduler::~Scheduler() {
  std::vector<WorkItem> left;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    StopRunning([](const RunningItem&) { return true; }, CancelledError);
    left = queue_.TakeAll();
    stats_.in_hand += static_cast<int64_t>(left.size());
    work_.NotifyAll();
    timer_.NotifyAll();
  }
  EndAll(std::move(left), CancelledError());
  for (std::thread& thread : threads_) thread.join();
}

absl::StatusOr<uint64_t> Scheduler::Submit(WorkItem& item) {
  const absl::Time now = clock_.Now();
  MutexLock lock(mutex_);
  const absl::Duration expected = estimate_.Expected(item.runner, item.cost.work);
  absl::Status status = draining_ || stopping_
                            ? DrainingError()
                            : CheckAdmission({item.cost.bytes, item.deadline - now, expected},
                                             MeasureLoad(item.priority, now), options_.queue);
  if (!status.ok()) {
    ++stats_.refused;
    return status;
  }
  ++stats_.accepted;
  const uint64_t id = next_id_++;
  item.id = id;
  item.enqueued = now;
  item.expected = expected;
  if (item.deadline < next_deadline_) {
    next_deadline_ = item.deadline;
    timer_.NotifyOne();
  }
  queue_.Push(std::move(item));
  if (idle_ > 0) work_.NotifyOne();
  return id;
}

absl::Status Scheduler::CheckRoom(CallerId /*caller*/) const {
  const absl::Time now = clock_.Now();
  MutexLock lock(mutex_);
  if (draining_ || stopping_) return DrainingError();
  return CheckAdmission(Arrival{}, MeasureLoad(0, now), options_.queue);
}

Load Scheduler::MeasureLoad(uint32_t priority, absl::Time now) const {
  constexpr uint32_t kLowestPriority = ~uint32_t{0};
  absl::Time free = absl::InfiniteFuture();
  for (const Executor& executor : executors_) free = std::min(free, executor.busy_until);
  Load load;
  load.queue_requests = queue_.size();
  load.queue_bytes = queue_.bytes();
  load.executor_idle = idle_ > 0;
  load.until_free = std::max(free - now, absl::ZeroDuration());
  load.queued = queue_.ExpectedUpTo(kLowestPriority) / options_.executors;
  load.ahead = queue_.ExpectedUpTo(priority) / options_.executors;
  load.batch = estimate_.BatchDuration();
  return load;
}

void Scheduler::Cancel(uint64_t id) {
  std::vector<WorkItem> taken;
  {
    MutexLock lock(mutex_);
    std::optional<WorkItem> item = queue_.TakeById(id);
    if (!item.has_value()) {
      return StopRunning([id](const RunningItem& running) { return running.id == id; },
                         CancelledError);
    }
    ++stats_.in_hand;
    taken.push_back(*std::move(item));
  }
  EndAll(std::move(taken), CancelledError());
}

void Scheduler::Drain(absl::Time deadline) {
  std::vector<WorkItem> left;
  {
    MutexLock lock(mutex_);
    draining_ = true;
    while (!queue_.empty() || stats_.in_hand > 0) {
      const absl::Time now = clock_.Now();
      if (now >= deadline) break;
      drained_.WaitFor(mutex_, WaitTime(deadline - now));
    }
    StopRunning([](const RunningItem&) { return true; }, DrainingError);
    left = queue_.TakeAll();
    stats_.in_hand += static_cast<int64_t>(left.size());
  }
  EndAll(std::move(left), DrainingError());
}

SchedulerStats Scheduler::stats() const {
  MutexLock lock(mutex_);
  SchedulerStats stats = stats_;
  stats.queue_requests = queue_.size();
  stats.queue_bytes = queue_.bytes();
  stats.idle_executors = idle_;
  return stats;
}

void Scheduler::Execute(int executor) {
  while (std::optional<Batch> batch = NextBatch(executor)) RunBatch(executor, *std::move(batch));
}

void Scheduler::AwaitWork(int executor) {
  while (queue_.empty() && !stopping_) {
    executors_[executor].busy_until = absl::InfinitePast();
    ++idle_;
    work_.Wait(mutex_);
    --idle_;
  }
}

std::optional<Scheduler::Batch> Scheduler::NextBatch(int executor) {
  while (true) {
    Batch batch;
    std::vector<WorkItem> expired;
    {
      MutexLock lock(mutex_);
      AwaitWork(executor);
      if (queue_.empty()) return std::nullopt;  // stopping: nothing can come any more
      batch.start = clock_.Now();
      WorkQueue::Taken taken =
          queue_.Take(DecideBatch(queue_.items(), options_.batch, batch.start));
      batch.items = std::move(taken.run);
      expired = std::move(taken.expired);
      stats_.in_hand += static_cast<int64_t>(batch.items.size() + expired.size());
      Executor& own = executors_[executor];
      own.busy_until = batch.start;
      own.stop = false;
      batch.stop = &own.stop;
      for (const WorkItem& item : batch.items) {
        own.busy_until += item.expected;
        own.running.push_back({item.id, item.deadline, absl::OkStatus()});
      }
    }
    EndAll(std::move(expired), ExpiredError());
    if (batch.items.empty()) continue;
    for (const WorkItem& item : batch.items) batch.cost += item.cost;
    return batch;
  }
}

void Scheduler::RunBatch(int executor, Batch batch) {
  BatchRunner* const runner = batch.items.front().runner;
  for (const WorkItem& item : batch.items) item.work->Prepare(executor);
  const bool computed = runner->Run(executor, *batch.stop);
  Timing timing;
  timing.compute = clock_.Now() - batch.start;
  timing.batch_requests = static_cast<int64_t>(batch.items.size());
  timing.batch_tokens = batch.cost.tokens;
  std::vector<absl::Status> ends = FinishBatch(executor, batch, computed, timing.compute);
  std::vector<absl::StatusCode> codes;
  for (size_t i = 0; i < batch.items.size(); ++i) {
    WorkItem& item = batch.items[i];
    codes.push_back(ends[i].code());
    timing.queue = batch.start - item.enqueued;
    item.work->End(ends[i].ok() ? absl::StatusOr<Timing>(timing) : std::move(ends[i]));
    item.work.reset();
  }
  CountEnds(codes);
}

std::vector<absl::Status> Scheduler::FinishBatch(int executor, const Batch& batch, bool computed,
                                                 absl::Duration compute) {
  const BatchRunner* const runner = batch.items.front().runner;
  std::vector<absl::Status> ends;
  {
    MutexLock lock(mutex_);
    bool expired = false;
    for (RunningItem& item : executors_[executor].running) {
      expired |= absl::IsDeadlineExceeded(item.status);
      ends.push_back(std::move(item.status));
    }
    executors_[executor].running.clear();
    // A batch that its deadlines stopped took at least so long. Without this, work that is
    // slower than expected would expire for ever and never be refused.
    const bool too_slow = expired && compute > estimate_.Expected(runner, batch.cost.work);
    if (computed || too_slow) estimate_.Observe(runner, batch.cost.work, compute);
  }
  if (observer_ != nullptr) {
    observer_->OnBatch(static_cast<int64_t>(batch.items.size()), computed ? batch.cost.tokens : 0,
                       computed ? batch.cost.flops : 0.0, compute);
  }
  return ends;
}

template <typename Matches>
void Scheduler::StopRunning(const Matches& matches, absl::Status (*make_status)()) {
  for (Executor& executor : executors_) {
    bool wanted = executor.running.empty();
    for (RunningItem& item : executor.running) {
      if (item.status.ok() && matches(item)) item.status = make_status();
      wanted |= item.status.ok();
    }
    if (!wanted) executor.stop = true;
  }
}

absl::Time Scheduler::NextDeadline() const {
  absl::Time next = queue_.NextDeadline();
  for (const Executor& executor : executors_) {
    for (const RunningItem& item : executor.running) {
      if (item.status.ok()) next = std::min(next, item.deadline);
    }
  }
  return next;
}

void Scheduler::WatchDeadlines() {
  mutex_.Lock();
  while (!stopping_) {
    const absl::Time now = clock_.Now();
    if (next_deadline_ <= now) {
      std::vector<WorkItem> expired = queue_.TakeExpired(now);
      StopRunning([now](const RunningItem& item) { return item.deadline <= now; }, ExpiredError);
      next_deadline_ = NextDeadline();
      stats_.in_hand += static_cast<int64_t>(expired.size());
      mutex_.Unlock();
      EndAll(std::move(expired), ExpiredError());
      mutex_.Lock();
    } else if (next_deadline_ == absl::InfiniteFuture()) {
      timer_.Wait(mutex_);
    } else {
      timer_.WaitFor(mutex_, WaitTime(next_deadline_ - now));
    }
  }
  mutex_.Unlock();
}

void Scheduler::EndAll(std::vector<WorkItem> items, const absl::Status& status) {
  for (WorkItem& item : items) {
    item.work->End(status);
    item.work.reset();
  }
  CountEnds(std::vector<absl::StatusCode>(items.size(), status.code()));
}

void Scheduler::CountEnds(absl::Span<const absl::StatusCode> codes) {
  if (codes.empty()) return;
  MutexLock lock(mutex_);
  stats_.in_hand -= static_cast<int64_t>(codes.size());
  for (const absl::StatusCode code : codes) ++FindCounter(code);
  if (queue_.empty() && stats_.in_hand == 0) drained_.NotifyAll();
}

int64_t& Scheduler::FindCounter(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return stats_.run;
    case absl::StatusCode::kDeadlineExceeded:
      return stats_.expired;
    case absl::StatusCode::kCancelled:
      return stats_.cancelled;
    default:
      return stats_.dropped;
  }
}

}  // namespace attend
