// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CLIENT_CPP_FAKE_PACER_H_
#define ATTEND_TESTS_CLIENT_CPP_FAKE_PACER_H_

#include <atomic>
#include <memory>
#include <vector>

#include "attend/client.h"
#include "client/cpp/channel.h"
#include "client/cpp/grpc_client.h"
#include "client/cpp/mutex.h"
#include "client/cpp/pacer.h"

namespace attend::client {

// A clock that only waits and Advance move, without delay.
class FakePacer : public internal::Pacer {
 public:
  absl::Duration Now() override {
    internal::MutexLock lock(mutex_);
    return now_;
  }
  double Uniform() override { return uniform_; }
  absl::Duration Wait(absl::Duration planned) override {
    internal::MutexLock lock(mutex_);
    waits_.push_back(planned);
    now_ += planned;
    return absl::ZeroDuration();
  }

  std::vector<absl::Duration> waits() {
    internal::MutexLock lock(mutex_);
    return waits_;
  }
  void Advance(absl::Duration time) {
    internal::MutexLock lock(mutex_);
    now_ += time;
  }
  void set_uniform(double uniform) { uniform_ = uniform; }

 private:
  internal::Mutex mutex_;
  absl::Duration now_ ABSL_GUARDED_BY(mutex_) = absl::Hours(1);
  std::vector<absl::Duration> waits_ ABSL_GUARDED_BY(mutex_);
  std::atomic<double> uniform_ = 0.5;
};

// A client whose time and chance are the pacer's.
inline std::unique_ptr<Client> CreateClient(const ClientOptions& options, internal::Pacer& pacer) {
  return std::make_unique<internal::GrpcClient>(*internal::CreateChannels(options), options.retry,
                                                options.throttling, pacer);
}

}  // namespace attend::client

#endif  // ATTEND_TESTS_CLIENT_CPP_FAKE_PACER_H_
