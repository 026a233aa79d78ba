// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_SIGNALS_H_
#define ATTEND_SERVER_LIFECYCLE_SIGNALS_H_

#include <functional>

namespace attend {

// Holds back SIGTERM, SIGINT and SIGHUP in this thread and those that it starts, and
// ignores SIGPIPE. Call before any thread is made.
void BlockShutdownSignals();

// Blocks until SIGTERM or SIGINT comes; returns its number. Calls `on_hangup`
// for each SIGHUP meanwhile. The next SIGTERM or SIGINT ends the process at once, with exit code
// 128 + number, also as process 1 of a container, where the kernel's own handling would ignore it.
int WaitForShutdownSignal(const std::function<void()>& on_hangup);

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_SIGNALS_H_
