// SPDX-License-Identifier: Apache-2.0
#include "server/calls/deadline_timer.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace attend {
namespace {

// The longest single wait; waits are in a loop.
constexpr absl::Duration kMaxWait = absl::Hours(1);

}  // namespace

DeadlineTimer::DeadlineTimer(const Clock& clock) : clock_(clock), thread_([this] { Run(); }) {}

DeadlineTimer::~DeadlineTimer() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    earlier_.NotifyAll();
  }
  thread_.join();
}

DeadlineTimer::Entry DeadlineTimer::Add(absl::Time deadline, std::weak_ptr<Expirable> object) {
  MutexLock lock(mutex_);
  const Entry entry(deadline, next_number_++);
  entries_.emplace(entry, std::move(object));
  if (deadline < wake_at_) {
    wake_at_ = deadline;
    earlier_.NotifyOne();
  }
  return entry;
}

void DeadlineTimer::Remove(Entry entry) {
  MutexLock lock(mutex_);
  entries_.erase(entry);
}

void DeadlineTimer::Run() {
  mutex_.Lock();
  while (!stopping_) {
    const absl::Time now = clock_.Now();
    const auto first = entries_.begin();
    if (first != entries_.end() && first->first.first <= now) {
      const std::weak_ptr<Expirable> told = std::move(first->second);
      entries_.erase(first);
      mutex_.Unlock();
      if (const std::shared_ptr<Expirable> object = told.lock()) object->OnDeadline();
      mutex_.Lock();
      continue;
    }
    wake_at_ = first == entries_.end() ? absl::InfiniteFuture() : first->first.first;
    const absl::Duration wait = std::min(wake_at_ - now, kMaxWait);
    earlier_.WaitFor(mutex_, absl::ToChronoNanoseconds(wait));
  }
  mutex_.Unlock();
}

}  // namespace attend
