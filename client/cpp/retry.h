// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_RETRY_H_
#define ATTEND_CLIENT_CPP_RETRY_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "attend/error.h"
#include "attend/options.h"

namespace attend::client::internal {

// Why an attempt failed, as far as the client acts on it.
enum class FailureKind {
  kRejected,     // the call itself is wrong, whatever the load: never retried
  kExpired,      // the deadline passed or the caller cancelled: never retried
  kUnavailable,  // the server is starting, unreachable, or broke off its answer: retried
  kDraining,     // the server refused because it shuts down: retried, the first time at no cost
  kOverloaded,   // the server refused for its load: retried
};

// RESOURCE_EXHAUSTED is kOverloaded with a pushback, and where gRPC's stream
// was reset with ENHANCE_YOUR_CALM before the server could answer. Otherwise
// the message is too large, and it is kRejected. UNAVAILABLE is kDraining where the server says so.
// Pure.
FailureKind Classify(absl::StatusCode code, absl::string_view message, const ErrorDetails& details);

// A failed attempt.
struct Failure {
  FailureKind kind;
  std::optional<absl::Duration> pushback;
  int attempts;              // made so far, this one included
  absl::Duration time_left;  // to the deadline
  bool within_budget;        // the client's RetryBudget allows a retry
};

// How long to wait before the next attempt; absent: there must be none. Pure;
// the rules are those of RetryPolicy. `uniform` is a random number in [0, 1).
std::optional<absl::Duration> RetryDelay(const RetryPolicy& policy, const Failure& failure,
                                         double uniform);

// The token bucket of gRFC A6 ("throttling retry attempts"), which
// RetryPolicy describes. Thread-compatible.
class RetryBudget {
 public:
  // max_tokens >= 0, token_ratio >= 0, both finite.
  RetryBudget(double max_tokens, double token_ratio)
      : max_tokens_(max_tokens), token_ratio_(token_ratio), tokens_(max_tokens) {}

  // After an attempt that succeeded, and one that failed in a way that is retried.
  void RecordSuccess();
  void RecordFailure();

  bool AllowsRetry() const { return tokens_ > max_tokens_ / 2; }

 private:
  const double max_tokens_;
  const double token_ratio_;
  double tokens_;
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_RETRY_H_
