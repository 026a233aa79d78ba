// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/window.h"

#include <algorithm>
#include <chrono>

#include "client/cpp/status.h"

namespace attend::client::internal {

absl::Status Window::Wait(size_t bytes, absl::Duration timeout) {
  using Clock = std::chrono::steady_clock;
  constexpr absl::Duration kLongest = absl::Hours(24 * 365);  // no overflow of the clock
  const auto until = Clock::now() + absl::ToChronoNanoseconds(std::min(timeout, kLongest));
  MutexLock lock(mutex_);
  if (!closed_.ok()) return closed_;
  if (waiters_.empty() && Fits(bytes)) {
    Add(bytes);
    return absl::OkStatus();
  }
  Waiter waiter = {bytes};
  const auto place = waiters_.insert(waiters_.end(), &waiter);
  while (!waiter.has_room && closed_.ok()) {
    const auto left = until - Clock::now();
    if (left <= Clock::duration::zero()) break;
    waiter.changed.WaitFor(mutex_, left);
  }
  if (waiter.has_room) return absl::OkStatus();
  waiters_.erase(place);
  if (!closed_.ok()) return closed_;
  WakeWaiters();  // one behind may fit where this one did not
  return absl::DeadlineExceededError("the pipeline's window had no room before the deadline");
}

absl::Status Window::Take(size_t bytes) {
  MutexLock lock(mutex_);
  if (!closed_.ok()) return closed_;
  if (!waiters_.empty() || !Fits(bytes)) {
    return WithDetails(absl::StatusCode::kResourceExhausted,
                       "the pipeline's window has no room: wait for answers",
                       {.reason = "PIPELINE_FULL", .domain = "attend"});
  }
  Add(bytes);
  return absl::OkStatus();
}

void Window::Return(size_t bytes) {
  MutexLock lock(mutex_);
  --requests_;
  bytes_ -= bytes;
  WakeWaiters();
}

void Window::Close(const absl::Status& why) {
  MutexLock lock(mutex_);
  if (closed_.ok()) closed_ = why;
  for (Waiter* waiter : waiters_) waiter->changed.NotifyAll();
}

bool Window::Fits(size_t bytes) const {
  if (requests_ == 0) return true;
  return requests_ < max_requests_ && bytes_ <= max_bytes_ && bytes <= max_bytes_ - bytes_;
}

void Window::Add(size_t bytes) {
  ++requests_;
  bytes_ += bytes;
}

void Window::WakeWaiters() {
  while (closed_.ok() && !waiters_.empty() && Fits(waiters_.front()->bytes)) {
    Waiter& waiter = *waiters_.front();
    waiters_.pop_front();
    Add(waiter.bytes);
    waiter.has_room = true;
    waiter.changed.NotifyAll();
  }
}

}  // namespace attend::client::internal
