#include "core/batching/scheduler.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
namespace {

// Expected times are averages; the half of all items takes longer. An item is
// let in only if it should end with a fifth of its time to spare, so that what
// is computed under overload is mostly in time.
constexpr double kHeadroom = 1.25;

constexpr absl::Duration kMinPushback = absl::Milliseconds(1);
constexpr absl::Duration kMaxPushback = absl::Seconds(5);
constexpr absl::Duration kUnknownPushback = absl::Milliseconds(100);

// How long one wait lasts at most; waits are in loops.
constexpr absl::Duration kMaxWait = absl::Hours(1);

std::chrono::nanoseconds WaitTime(absl::Duration duration) {
  return absl::ToChronoNanoseconds(std::clamp(duration, absl::Nanoseconds(1), kMaxWait));
}

absl::Status Expired() {
  return MakeError(absl::StatusCode::kDeadlineExceeded, "EXPIRED", "",
                   "the deadline passed before the request's turn came; nothing was computed");
}

absl::Status Cancelled() {
  return MakeError(absl::StatusCode::kCancelled, "CANCELLED", "",
                   "the request was cancelled; nothing was computed");
}

absl::Status Draining() {
  return MakeError(absl::StatusCode::kUnavailable, "DRAINING", "",
                   "the server is shutting down; use another one");
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options, const Clock& clock, Run run)
    : options_(options),
      clock_(clock),
      run_(std::move(run)),
      busy_until_(static_cast<size_t>(options.executors), absl::InfinitePast()) {
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
    left = queue_.TakeAll();
    stats_.in_hand += static_cast<int64_t>(left.size());
    work_.NotifyAll();
    timer_.NotifyAll();
  }
  EndAll(std::move(left), Cancelled());
  for (std::thread& thread : threads_) thread.join();
}

absl::StatusOr<uint64_t> Scheduler::Submit(WorkItem& item) {
  const absl::Time now = clock_.Now();
  MutexLock lock(mutex_);
  if (absl::Status status = CheckAdmission(item, now); !status.ok()) {
    ++stats_.refused;
    return status;
  }
  ++stats_.accepted;
  const uint64_t id = next_id_++;
  item.id = id;
  item.enqueued = now;
  item.expected = estimate_.Expected(item.group, item.cost.flops);
  if (item.deadline < next_deadline_) {
    next_deadline_ = item.deadline;
    timer_.NotifyOne();
  }
  queue_.Push(std::move(item));
  if (idle_ > 0) work_.NotifyOne();
  return id;
}

absl::Duration Scheduler::UntilExecutorFree(absl::Time now) const {
  const absl::Time first = *std::min_element(busy_until_.begin(), busy_until_.end());
  return std::max(first - now, absl::ZeroDuration());
}

absl::Status Scheduler::CheckAdmission(const WorkItem& item, absl::Time now) const {
  if (draining_ || stopping_) return Draining();
  if (item.deadline <= now) return Expired();
  const auto pushback = [&](absl::Duration wait) {
    return wait == absl::ZeroDuration() ? kUnknownPushback
                                        : std::clamp(wait, kMinPushback, kMaxPushback);
  };
  const absl::Duration free = UntilExecutorFree(now);
  if (queue_.size() >= options_.max_queue_requests ||
      item.cost.bytes > options_.max_queue_bytes - queue_.bytes()) {
    const absl::Duration wait = free + queue_.ExpectedUpTo(~uint32_t{0}) / options_.executors;
    return Overloaded("QUEUE_FULL",
                      absl::StrCat("the queue is full with ", queue_.size(),
                                   " requests; try again later or use another server"),
                      pushback(wait));
  }
  if (idle_ > 0) return absl::OkStatus();
  const absl::Duration own = estimate_.Expected(item.group, item.cost.flops);
  const absl::Duration ahead = queue_.ExpectedUpTo(item.priority) / options_.executors;
  // It ends with its batch, which others join behind it as long as it waits.
  const absl::Duration expected = free + ahead + std::max(own, estimate_.BatchDuration());
  const absl::Duration allowed = item.deadline - now;
  if (own == absl::ZeroDuration() || own > allowed || kHeadroom * expected <= allowed) {
    return absl::OkStatus();
  }
  return Overloaded(
      "DEADLINE_UNREACHABLE",
      "under the load of now the deadline cannot be met; allow more time or use another server",
      pushback(free + ahead));
}

void Scheduler::Cancel(uint64_t id) {
  std::vector<WorkItem> taken;
  {
    MutexLock lock(mutex_);
    std::optional<WorkItem> item = queue_.TakeById(id);
    if (!item.has_value()) return;
    ++stats_.in_hand;
    taken.push_back(*std::move(item));
  }
  EndAll(std::move(taken), Cancelled());
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
    left = queue_.TakeAll();
    stats_.in_hand += static_cast<int64_t>(left.size());
  }
  EndAll(std::move(left), Draining());
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
  mutex_.Lock();
  while (true) {
    while (queue_.empty() && !stopping_) {
      busy_until_[executor] = absl::InfinitePast();
      ++idle_;
      work_.Wait(mutex_);
      --idle_;
    }
    if (queue_.empty()) break;  // stopping, and nothing can come any more

    const absl::Time start = clock_.Now();
    const BatchDecision decision = DecideBatch(queue_.items(), options_.batch, start);
    // Both taken by one call, because indices are into the queue as it was; the
    // expired are then told apart by the deadlines that the decision went by.
    std::vector<size_t> indices(decision.run.size() + decision.expired.size());
    std::merge(decision.run.begin(), decision.run.end(), decision.expired.begin(),
               decision.expired.end(), indices.begin());
    std::vector<WorkItem> batch = queue_.Take(indices);
    const auto live_end = std::stable_partition(
        batch.begin(), batch.end(), [&](const WorkItem& item) { return item.deadline > start; });
    std::vector<WorkItem> expired(std::make_move_iterator(live_end),
                                  std::make_move_iterator(batch.end()));
    batch.erase(live_end, batch.end());
    stats_.in_hand += static_cast<int64_t>(indices.size());
    absl::Duration expected;
    double flops = 0.0;
    for (const WorkItem& item : batch) {
      expected += item.expected;
      flops += item.cost.flops;
    }
    busy_until_[executor] = start + expected;
    mutex_.Unlock();

    EndAll(std::move(expired), Expired());
    if (!batch.empty()) {
      const void* const group = batch.front().group;
      run_(executor, batch);
      const absl::Duration took = clock_.Now() - start;
      {
        MutexLock lock(mutex_);
        estimate_.Observe(group, flops, took);
      }
      EndAll(std::move(batch), absl::OkStatus());
    }
    mutex_.Lock();
  }
  mutex_.Unlock();
}

void Scheduler::WatchDeadlines() {
  mutex_.Lock();
  while (!stopping_) {
    const absl::Time now = clock_.Now();
    if (next_deadline_ <= now) {
      std::vector<WorkItem> expired = queue_.TakeExpired(now);
      next_deadline_ = queue_.NextDeadline();
      stats_.in_hand += static_cast<int64_t>(expired.size());
      mutex_.Unlock();
      EndAll(std::move(expired), Expired());
      mutex_.Lock();
    } else if (next_deadline_ == absl::InfiniteFuture()) {
      timer_.Wait(mutex_);
    } else {
      timer_.WaitFor(mutex_, WaitTime(next_deadline_ - now));
    }
  }
  mutex_.Unlock();
}

int64_t* Scheduler::CounterOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return &stats_.run;
    case absl::StatusCode::kDeadlineExceeded:
      return &stats_.expired;
    case absl::StatusCode::kCancelled:
      return &stats_.cancelled;
    default:
      return &stats_.dropped;
  }
}

void Scheduler::EndAll(std::vector<WorkItem> items, const absl::Status& status) {
  if (items.empty()) return;
  for (WorkItem& item : items) {
    item.work->End(status);
    item.work.reset();
  }
  MutexLock lock(mutex_);
  stats_.in_hand -= static_cast<int64_t>(items.size());
  *CounterOf(status) += static_cast<int64_t>(items.size());
  if (queue_.empty() && stats_.in_hand == 0) drained_.NotifyAll();
}

}  // namespace attend
