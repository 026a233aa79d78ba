// SPDX-License-Identifier: Apache-2.0
#include "server/security/poller.h"

#include <utility>

namespace attend {

Poller::Poller(absl::Duration interval, std::function<void()> poll)
    : interval_(interval), poll_(std::move(poll)), thread_([this] { Run(); }) {}

Poller::~Poller() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    stopped_.NotifyAll();
  }
  thread_.join();
}

void Poller::Run() {
  mutex_.Lock();
  while (!stopping_) {
    mutex_.Unlock();
    poll_();
    mutex_.Lock();
    if (!stopping_) stopped_.WaitFor(mutex_, absl::ToChronoNanoseconds(interval_));
  }
  mutex_.Unlock();
}

}  // namespace attend
