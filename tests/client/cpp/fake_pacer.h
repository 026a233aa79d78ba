// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CLIENT_CPP_FAKE_PACER_H_
#define ATTEND_TESTS_CLIENT_CPP_FAKE_PACER_H_

#include <memory>
#include <vector>

#include "client/cpp/channel.h"
#include "client/cpp/mutex.h"
#include "client/cpp/retry.h"
#include "client/cpp/transport.h"

namespace attend::client {

// A clock that only waits advance, without delay. Starts at the real time, because gRPC uses the
// deadlines that are made from it.
class FakePacer : public internal::Pacer {
 public:
  absl::Time Now() override {
    internal::MutexLock lock(mutex_);
    return now_;
  }
  double Uniform() override { return 0.5; }
  absl::Duration Wait(absl::Duration planned) override {
    internal::MutexLock lock(mutex_);
    waits_.push_back(planned);
    now_ += planned;
    return real_wait_;
  }

  std::vector<absl::Duration> waits() {
    internal::MutexLock lock(mutex_);
    return waits_;
  }
  // The effect of a wait; for tests that end waits in another way.
  void set_real_wait(absl::Duration wait) { real_wait_ = wait; }

 private:
  internal::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::Now();
  std::vector<absl::Duration> waits_ ABSL_GUARDED_BY(mutex_);
  absl::Duration real_wait_ = absl::ZeroDuration();
};

class ClientTestPeer {
 public:
  static std::unique_ptr<Client> Create(const ClientOptions& options, internal::Pacer& pacer) {
    return std::unique_ptr<Client>(new Client(std::make_unique<internal::Transport>(
        *internal::CreateChannels(options), options.retry, pacer)));
  }
};

}  // namespace attend::client

#endif  // ATTEND_TESTS_CLIENT_CPP_FAKE_PACER_H_
