// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/signals.h"

#include <unistd.h>

#include <csignal>

namespace attend {
namespace {

sigset_t ShutdownSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

void ExitAtOnce(int signal) {
  _exit(128 + signal);
}

}  // namespace

void BlockShutdownSignals() {
  sigset_t signals = ShutdownSignals();
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int WaitForShutdownSignal(const std::function<void()>& on_hangup) {
  const sigset_t signals = ShutdownSignals();
  sigset_t all = signals;
  sigaddset(&all, SIGHUP);
  int signal = 0;
  while (sigwait(&all, &signal) != 0 || signal == SIGHUP) on_hangup();
  std::signal(SIGTERM, ExitAtOnce);
  std::signal(SIGINT, ExitAtOnce);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  return signal;
}

}  // namespace attend
