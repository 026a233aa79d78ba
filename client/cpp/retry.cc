// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/retry.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"

namespace attend::client {
namespace internal {
namespace {

// gRPC's text for a stream that the peer reset with HTTP/2's ENHANCE_YOUR_CALM
// (RFC 9113, section 7), which it maps to RESOURCE_EXHAUSTED. Only this text
// tells it from a message over the size limit.
constexpr absl::string_view kResetForLoad = "RST_STREAM with error code 11";

// gRPC's texts for a stream that a proxy ended or reset because the server behind it broke off its
// answer: HAProxy 2.6 ends it as if it were whole, nginx 1.22 resets it with HTTP/2's
// INTERNAL_ERROR.
constexpr absl::string_view kEndedWithoutStatus = "Stream removed";
constexpr absl::string_view kBrokenOff = "RST_STREAM with error code 2";

// The domain of the server's own errors.
constexpr absl::string_view kServerDomain = "attend";

// The reason of a server that shuts down.
constexpr absl::string_view kDrainingReason = "DRAINING";

bool MeansLoad(absl::string_view message, const ErrorDetails& details) {
  if (details.pushback.has_value()) return true;
  return details.domain != kServerDomain && absl::StrContains(message, kResetForLoad);
}

// Whether nobody but a proxy said how the call went.
bool IsBrokenOff(absl::string_view message, const ErrorDetails& details) {
  return details.domain != kServerDomain &&
         (message == kEndedWithoutStatus || absl::StrContains(message, kBrokenOff));
}

}  // namespace

FailureKind Classify(absl::StatusCode code, absl::string_view message,
                     const ErrorDetails& details) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return details.domain == kServerDomain && details.reason == kDrainingReason
                 ? FailureKind::kDraining
                 : FailureKind::kUnavailable;
    case absl::StatusCode::kResourceExhausted:
      return MeansLoad(message, details) ? FailureKind::kOverloaded : FailureKind::kRejected;
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
      return IsBrokenOff(message, details) ? FailureKind::kUnavailable : FailureKind::kRejected;
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return FailureKind::kExpired;
    default:
      return FailureKind::kRejected;
  }
}

std::optional<absl::Duration> RetryDelay(const RetryPolicy& policy, const Failure& failure,
                                         double uniform) {
  if (failure.kind == FailureKind::kRejected || failure.kind == FailureKind::kExpired) {
    return std::nullopt;
  }
  if (failure.attempts >= policy.max_attempts || !failure.within_budget) return std::nullopt;

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

void RetryBudget::RecordSuccess() {
  tokens_ = std::min(tokens_ + token_ratio_, max_tokens_);
}

void RetryBudget::RecordFailure() {
  tokens_ = std::max(tokens_ - 1, 0.0);
}

}  // namespace internal

bool IsOverload(const absl::Status& status) {
  return internal::Classify(status.code(), status.message(), GetErrorDetails(status)) ==
         internal::FailureKind::kOverloaded;
}

}  // namespace attend::client
