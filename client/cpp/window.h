// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_WINDOW_H_
#define ATTEND_CLIENT_CPP_WINDOW_H_

#include <cstddef>
#include <list>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cpp/mutex.h"

namespace attend::client::internal {

// Room for the requests that a pipeline has in flight: a number of them, and of
// their bytes. A request of more bytes than there are has room while it is alone.
// Thread-safe.
class Window {
 public:
  // Both at least 1.
  Window(size_t max_requests, size_t max_bytes)
      : max_requests_(max_requests), max_bytes_(max_bytes) {}

  // Takes room for a request. Where there is none, waits for it on the steady
  // clock, behind all who wait already: DEADLINE_EXCEEDED after `timeout`.
  absl::Status Wait(size_t bytes, absl::Duration timeout);

  // The same without waiting: RESOURCE_EXHAUSTED, reason PIPELINE_FULL, also
  // where others wait.
  absl::Status Take(size_t bytes);

  // Gives back what Wait or Take took.
  void Return(size_t bytes);

  // Lets Wait and Take fail with `why` from now on, also those that wait. The
  // first call counts.
  void Close(const absl::Status& why);

 private:
  struct Waiter {
    const size_t bytes;
    bool has_room = false;
    CondVar changed = {};
  };

  bool Fits(size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Add(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives room to those who have waited longest.
  void WakeWaiters() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_requests_;
  const size_t max_bytes_;

  Mutex mutex_;
  size_t requests_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);  // in order of arrival, without room
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);         // OK: it is open
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_WINDOW_H_
