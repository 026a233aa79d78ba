// SPDX-License-Identifier: Apache-2.0
#include "core/base/task_gate.h"

namespace attend {

bool TaskGate::Wait() {
  MutexLock lock(mutex_);
  while (state_.load(std::memory_order_relaxed) == kClosed) changed_.Wait(mutex_);
  return state_.load(std::memory_order_relaxed) == kOpen;
}

void TaskGate::Set(State state) {
  MutexLock lock(mutex_);
  if (state_.load(std::memory_order_relaxed) == kStopped) return;
  state_.store(state, std::memory_order_relaxed);
  if (state != kClosed) changed_.NotifyAll();
}

}  // namespace attend
