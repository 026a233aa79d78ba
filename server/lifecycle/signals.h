// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_SIGNALS_H_
#define ATTEND_SERVER_LIFECYCLE_SIGNALS_H_

namespace attend {

// Holds back SIGTERM and SIGINT in this thread and those that it starts, and
// ignores SIGPIPE. Call before any thread is made.
void BlockShutdownSignals();

// Blocks until one of them comes; returns its number. The next one ends the
// process at once, with exit code 128 + number, also as process 1 of a container,
// where the kernel's own handling would ignore it.
int WaitForShutdownSignal();

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_SIGNALS_H_
