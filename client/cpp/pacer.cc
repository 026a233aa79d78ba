// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/pacer.h"

#include <chrono>

#include "absl/random/random.h"

namespace attend::client::internal {
namespace {

class RealPacer : public Pacer {
 public:
  absl::Duration Now() override {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
  double Uniform() override {
    thread_local absl::InsecureBitGen generator;
    return absl::Uniform(generator, 0.0, 1.0);
  }
  absl::Duration Wait(absl::Duration planned) override { return planned; }
};

}  // namespace

Pacer& Pacer::Real() {
  static auto* const pacer = new RealPacer();
  return *pacer;
}

}  // namespace attend::client::internal
