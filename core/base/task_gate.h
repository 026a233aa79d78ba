// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_TASK_GATE_H_
#define ATTEND_CORE_BASE_TASK_GATE_H_

#include <atomic>

#include "core/base/mutex.h"

namespace attend {

// Lets others suspend or stop a computation between two of its tasks. The threads that compute
// call Pass before each task; while the gate is open that costs one load of an atomic.
// Thread-safe.
class TaskGate {
 public:
  TaskGate() = default;
  TaskGate(const TaskGate&) = delete;
  TaskGate& operator=(const TaskGate&) = delete;

  // Blocks while the gate is closed. Returns whether the next task shall run: false for good once
  // the gate is stopped.
  bool Pass() { return state_.load(std::memory_order_relaxed) == kOpen || Wait(); }

  // Do nothing if the gate is stopped.
  void Open() { Set(kOpen); }
  void Close() { Set(kClosed); }

  // Ends the computation at the next Pass of each thread.
  void Stop() { Set(kStopped); }
  bool open() const { return state_.load(std::memory_order_relaxed) == kOpen; }
  bool stopped() const { return state_.load(std::memory_order_relaxed) == kStopped; }

  // Prepares the gate for another computation. No thread may be in Pass.
  void Reset(bool open) {
    MutexLock lock(mutex_);
    state_.store(open ? kOpen : kClosed, std::memory_order_relaxed);
  }

 private:
  enum State { kOpen, kClosed, kStopped };

  bool Wait();
  void Set(State state);

  Mutex mutex_;
  CondVar changed_;
  std::atomic<State> state_{kOpen};  // written under the mutex
};

}  // namespace attend

#endif  // ATTEND_CORE_BASE_TASK_GATE_H_
