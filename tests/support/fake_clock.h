// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_SUPPORT_FAKE_CLOCK_H_
#define ATTEND_TESTS_SUPPORT_FAKE_CLOCK_H_

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace attend {

// A clock that stands still until a test moves it. Thread-safe.
class FakeClock final : public Clock {
 public:
  absl::Time Now() const override {
    MutexLock lock(mutex_);
    return now_;
  }

  void Advance(absl::Duration duration) {
    MutexLock lock(mutex_);
    now_ += duration;
  }

 private:
  mutable Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::UnixEpoch() + absl::Hours(1);
};

}  // namespace attend

#endif  // ATTEND_TESTS_SUPPORT_FAKE_CLOCK_H_
