// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_POLLER_H_
#define ATTEND_SERVER_SECURITY_POLLER_H_

#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "core/base/mutex.h"

namespace attend {

// Calls a function at once and then once per interval, on a thread of its own, until destroyed.
class Poller {
 public:
  Poller(absl::Duration interval, std::function<void()> poll);
  ~Poller();  // waits for the call that runs
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

 private:
  void Run();

  const absl::Duration interval_;
  const std::function<void()> poll_;
  Mutex mutex_;
  CondVar stopped_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_POLLER_H_
