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

// Batches that wait for the completion thread before lanes wait for it.
constexpr int kMaxCompleting = 4;

std::chrono::nanoseconds WaitTime(absl::Duration duration) {
  return absl::ToChronoNanoseconds(std::clamp(duration, absl::Nanoseconds(1), kMaxWait));
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options, const Clock& clock, BatchObserver* observer)
    : clock_(clock),
      observer_(observer),
      help_(options.help),
      lanes_(static_cast<size_t>(options.executors * kLanes)),
      helpers_(options.help && options.executors > 1 ? static_cast<size_t>(options.executors) : 0),
      dispatcher_(options) {
  for (int lane = 0; lane < options.executors * kLanes; ++lane) {
    threads_.emplace_back([this, lane, start = options.on_lane_start] {
      if (start) start(lane);
      RunLane(lane);
    });
  }
  for (int executor = 0; executor < static_cast<int>(helpers_.size()); ++executor) {
    threads_.emplace_back([this, executor, start = options.on_lane_start] {
      if (start) start(executor * kLanes);
      HelpOthers(executor);
    });
  }
  threads_.emplace_back([this] { WatchTime(); });
  completion_thread_ = std::thread([this] { EndBatches(); });
}

Scheduler::~Scheduler() {
  std::vector<EndedItem> ended;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    dispatcher_.Refuse();
    dispatcher_.StopAll(CancelledError, clock_.Now(), ended);
    for (CondVar& lane : lanes_) lane.NotifyAll();
    for (CondVar& helper : helpers_) helper.NotifyAll();
    timer_.NotifyAll();
    completed_.NotifyAll();
  }
  EndAll(std::move(ended));
  for (std::thread& thread : threads_) thread.join();
  {
    MutexLock lock(mutex_);
    lanes_ended_ = true;
    completion_.NotifyOne();
  }
  completion_thread_.join();
}

absl::StatusOr<uint64_t> Scheduler::Submit(WorkItem& item) {
  std::vector<EndedItem> ended;
  absl::StatusOr<uint64_t> id;
  {
    MutexLock lock(mutex_);
    id = dispatcher_.Offer(item, clock_.Now(), ended);
    Wake();
  }
  EndAll(std::move(ended));
  return id;
}

absl::Status Scheduler::CheckRoom(uint32_t caller) const {
  MutexLock lock(mutex_);
  const absl::Time now = clock_.Now();
  overloaded_.store(dispatcher_.HasStandingQueue(WorkClass::kShort, now),
                    std::memory_order_relaxed);
  return dispatcher_.CheckRoom(caller, now);
}

void Scheduler::Cancel(uint64_t id) {
  std::vector<EndedItem> ended;
  {
    MutexLock lock(mutex_);
    dispatcher_.Cancel(id, clock_.Now(), ended);
    Wake();
  }
  EndAll(std::move(ended));
}

void Scheduler::Drain(absl::Time deadline) {
  std::vector<EndedItem> ended;
  {
    MutexLock lock(mutex_);
    dispatcher_.Refuse();
    while (!dispatcher_.empty()) {
      const absl::Time now = clock_.Now();
      if (now >= deadline) break;
      drained_.WaitFor(mutex_, WaitTime(deadline - now));
    }
    dispatcher_.StopAll(DrainingError, clock_.Now(), ended);
  }
  EndAll(std::move(ended));
}

SchedulerStats Scheduler::stats() const {
  MutexLock lock(mutex_);
  return dispatcher_.stats(clock_.Now());
}

void Scheduler::RunLane(int lane) {
  while (std::optional<Batch> batch = NextBatch(lane)) RunBatch(lane, *std::move(batch));
}

std::optional<Batch> Scheduler::NextBatch(int lane) {
  std::vector<EndedItem> ended;
  {
    MutexLock lock(mutex_);
    // Otherwise results would pile up where ending them takes longer than computing them.
    while (completing_ > kMaxCompleting && !stopping_) completed_.Wait(mutex_);
    dispatcher_.MakeReady(lane, clock_.Now(), ended);
    Wake();
  }
  EndAll(std::move(ended));
  MutexLock lock(mutex_);
  while (!dispatcher_.HasBatch(lane)) {
    if (stopping_) return std::nullopt;
    lanes_[lane].Wait(mutex_);
  }
  return dispatcher_.TakeBatch(lane);
}

void Scheduler::RunBatch(int lane, Batch batch) {
  BatchRunner* const runner = batch.items.front().runner;
  TaskGate* gate = nullptr;
  {
    MutexLock lock(mutex_);
    gate = &dispatcher_.gate(lane);
  }
  BatchRecord record;
  if (gate->Pass()) {  // waits for the turn; false: nobody wants the batch any more
    for (const WorkItem& item : batch.items) item.work->Prepare(lane);
    record.computed = runner->Run(lane, *gate);
  }
  std::vector<EndedItem> others;
  Lanes::Finished finished;
  bool hand_over = false;
  {
    MutexLock lock(mutex_);
    finished = dispatcher_.Finish(lane, batch, record.computed, clock_.Now(), others);
    // A lane with nothing to run ends its batch sooner than another thread could, unless that
    // one has not ended all earlier batches yet.
    hand_over = completing_ > 0 || dispatcher_.HasWaiting(batch.items.front().work_class);
    completing_ += hand_over;
    Wake();
  }
  record.requests = static_cast<int64_t>(batch.items.size());
  record.compute = finished.ran;
  record.expected = finished.expected;
  record.helped = finished.helped;
  if (record.computed) {
    record.tokens = batch.cost.tokens;
    record.flops = batch.cost.flops;
  }
  if (observer_ != nullptr) observer_->OnBatch(record);
  FinishedBatch done = {std::move(batch), std::move(finished.ends), finished.ran};
  if (hand_over) {
    MutexLock lock(mutex_);
    finished_.push_back(std::move(done));
    completion_.NotifyOne();
  } else {
    EndBatch(std::move(done));
  }
  EndAll(std::move(others));
}

void Scheduler::EndBatch(FinishedBatch finished) {
  Timing timing;
  timing.compute = finished.compute;
  timing.batch_requests = static_cast<int64_t>(finished.batch.items.size());
  timing.batch_tokens = finished.batch.cost.tokens;
  std::vector<absl::StatusCode> codes;
  for (size_t i = 0; i < finished.batch.items.size(); ++i) {
    WorkItem& item = finished.batch.items[i];
    absl::Status& end = finished.ends[i];
    codes.push_back(end.code());
    timing.queue = finished.batch.start - item.enqueued;
    item.work->End(end.ok() ? absl::StatusOr<Timing>(timing) : std::move(end));
    item.work.reset();
  }
  CountEnds(codes);
}

void Scheduler::EndBatches() {
  while (true) {
    FinishedBatch finished;
    {
      MutexLock lock(mutex_);
      while (finished_.empty()) {
        if (lanes_ended_) return;
        completion_.Wait(mutex_);
      }
      finished = std::move(finished_.front());
      finished_.pop_front();
    }
    EndBatch(std::move(finished));
    MutexLock lock(mutex_);
    --completing_;
    completed_.NotifyAll();
  }
}

void Scheduler::WatchTime() {
  mutex_.Lock();
  while (!stopping_) {
    const absl::Time now = clock_.Now();
    const absl::Time next = dispatcher_.NextTick();
    if (next <= now) {
      std::vector<EndedItem> ended;
      dispatcher_.Tick(now, ended);
      Wake();
      mutex_.Unlock();
      EndAll(std::move(ended));
      mutex_.Lock();
      continue;
    }
    timer_wakes_ = next;
    timer_.WaitFor(mutex_, WaitTime(next - now));
    timer_wakes_ = absl::InfinitePast();
  }
  mutex_.Unlock();
}

void Scheduler::HelpOthers(int executor) {
  const std::atomic<int>* helped = nullptr;
  {
    MutexLock lock(mutex_);
    helped = &dispatcher_.helped_lane(executor);
  }
  while (true) {
    int lane = -1;
    {
      MutexLock lock(mutex_);
      while ((lane = helped->load()) < 0) {
        if (stopping_) return;
        helpers_[executor].Wait(mutex_);
      }
    }
    help_(executor, lane, *helped);
  }
}

void Scheduler::Wake() {
  for (const int lane : dispatcher_.TakeStarted()) lanes_[lane].NotifyOne();
  for (int executor = 0; executor < static_cast<int>(helpers_.size()); ++executor) {
    if (dispatcher_.helped_lane(executor).load() >= 0) helpers_[executor].NotifyOne();
  }
  if (dispatcher_.NextTick() < timer_wakes_) timer_.NotifyOne();
}

void Scheduler::EndAll(std::vector<EndedItem> items) {
  std::vector<absl::StatusCode> codes;
  for (EndedItem& ended : items) {
    codes.push_back(ended.status.code());
    ended.item.work->End(std::move(ended.status));
    ended.item.work.reset();
  }
  CountEnds(codes);
}

void Scheduler::CountEnds(absl::Span<const absl::StatusCode> codes) {
  if (codes.empty()) return;
  MutexLock lock(mutex_);
  for (const absl::StatusCode code : codes) dispatcher_.CountEnd(code);
  if (dispatcher_.empty()) drained_.NotifyAll();
}

}  // namespace attend
