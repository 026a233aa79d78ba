// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_RETRY_H_
#define ATTEND_CLIENT_CPP_RETRY_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attend/options.h"

namespace attend::client::internal {

// Time and chance, so that tests need neither. Thread-safe.
class Pacer {
 public:
  virtual ~Pacer() = default;
  virtual absl::Time Now() = 0;
  virtual double Uniform() = 0;  // [0, 1)

  // Told before each wait of `planned`; returns how long to wait really.
  virtual absl::Duration Wait(absl::Duration planned) = 0;

  // The system's.
  static Pacer& Real();
};

// A failed attempt.
struct Failure {
  absl::StatusCode code;
  std::optional<absl::Duration> pushback;
  int attempts;              // made so far, this one included
  absl::Duration time_left;  // to the deadline
};

// How long to wait before the next attempt; nothing: there must be none. Pure;
// the rules are those of RetryPolicy. `uniform` is a random number in [0, 1).
std::optional<absl::Duration> RetryDelay(const RetryPolicy& policy, const Failure& failure,
                                         double uniform);

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_RETRY_H_
