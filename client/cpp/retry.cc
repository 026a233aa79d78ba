// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/retry.h"

#include <algorithm>
#include <cmath>

#include "absl/random/random.h"
#include "absl/time/clock.h"

namespace attend::client::internal {
namespace {

class RealPacer : public Pacer {
 public:
  absl::Time Now() override { return absl::Now(); }
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

std::optional<absl::Duration> RetryDelay(const RetryPolicy& policy, const Failure& failure,
                                         double uniform) {
  if (failure.attempts >= policy.max_attempts) return std::nullopt;
  const bool busy =
      failure.code == absl::StatusCode::kResourceExhausted && failure.pushback.has_value();
  if (failure.code != absl::StatusCode::kUnavailable && !busy) return std::nullopt;

  absl::Duration delay;
  if (failure.pushback.has_value()) {
    if (*failure.pushback < absl::ZeroDuration()) return std::nullopt;
    // Never earlier than asked; spread, so that those refused together do not
    // all come back together.
    delay = *failure.pushback * (1 + 0.2 * uniform);
  } else {
    const double factor = std::pow(policy.multiplier, failure.attempts - 1);
    delay = std::min(policy.initial_backoff * factor, policy.max_backoff) * (0.8 + 0.4 * uniform);
  }
  if (delay >= failure.time_left) return std::nullopt;
  return delay;
}

}  // namespace attend::client::internal
