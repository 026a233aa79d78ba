// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_CALLS_IN_FLIGHT_H_
#define ATTEND_SERVER_CALLS_CALLS_IN_FLIGHT_H_

#include <chrono>
#include <cstdint>

#include "absl/time/time.h"
#include "core/base/mutex.h"

namespace attend {

// Counts calls that live, so that a shutdown can wait for the last answer to
// have left. Thread-safe.
class CallsInFlight {
 public:
  void Add() {
    MutexLock lock(mutex_);
    ++count_;
  }
  void Remove() {
    MutexLock lock(mutex_);
    if (--count_ == 0) none_.NotifyAll();
  }

  // Blocks until no call is left, or for `timeout`. Returns whether no call is left.
  bool WaitForNone(absl::Duration timeout) {
    const auto until = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
    MutexLock lock(mutex_);
    while (count_ > 0) {
      const auto left = until - std::chrono::steady_clock::now();
      if (left <= std::chrono::nanoseconds(0)) return false;
      none_.WaitFor(mutex_, left);
    }
    return true;
  }

 private:
  Mutex mutex_;
  CondVar none_;
  int64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_CALLS_IN_FLIGHT_H_
