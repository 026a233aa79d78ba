// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_SIGNALS_H_
#define ATTEND_SERVER_LIFECYCLE_SIGNALS_H_

#include <functional>
#include <thread>

namespace attend {

// Holds back SIGTERM, SIGINT and SIGHUP in this thread and those that it starts, and
// ignores SIGPIPE. Call before any thread is made.
void BlockShutdownSignals();

// While it lives, SIGTERM or SIGINT ends the process at once, with exit code 0: for a start, which
// may read layers for minutes and has nobody yet to finish work for. Without BlockShutdownSignals
// it does nothing. What comes when it has ended waits for WaitForShutdownSignal.
class ExitOnShutdownSignal {
 public:
  ExitOnShutdownSignal();
  ~ExitOnShutdownSignal();
  ExitOnShutdownSignal(const ExitOnShutdownSignal&) = delete;
  ExitOnShutdownSignal& operator=(const ExitOnShutdownSignal&) = delete;

 private:
  const int signals_;  // a signalfd
  const int end_;      // an eventfd
  std::thread thread_;
};

// Blocks until SIGTERM or SIGINT comes; returns its number. Calls `on_hangup`
// for each SIGHUP meanwhile. The next SIGTERM or SIGINT ends the process at once, with exit code
// 128 + number, also as process 1 of a container, where the kernel's own handling would ignore it.
int WaitForShutdownSignal(const std::function<void()>& on_hangup);

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_SIGNALS_H_
