// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "server/telemetry/log.h"

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

int OpenSignals() {
  const sigset_t signals = ShutdownSignals();
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

void ExitIfSignalledBefore(int end, int signals) {
  if (end < 0) return;  // No descriptor is left, and nothing could end this.
  std::array<pollfd, 2> events = {{{end, POLLIN, 0}, {signals, POLLIN, 0}}};
  while (poll(events.data(), events.size(), -1) < 0) {
  }
  signalfd_siginfo signal = {};
  if (events[0].revents != 0 || read(signals, &signal, sizeof(signal)) < 0) return;
  Log(LogLevel::kInfo, "signal received before the server listens",
      {{"signal", absl::StrCat(signal.ssi_signo)}});
  _exit(EXIT_SUCCESS);
}

}  // namespace

void BlockShutdownSignals() {
  sigset_t signals = ShutdownSignals();
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

ExitOnShutdownSignal::ExitOnShutdownSignal()
    : signals_(OpenSignals()),
      end_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { ExitIfSignalledBefore(end_, signals_); }) {}

ExitOnShutdownSignal::~ExitOnShutdownSignal() {
  eventfd_write(end_, 1);
  thread_.join();
  close(end_);
  close(signals_);
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
