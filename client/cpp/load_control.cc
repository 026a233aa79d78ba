// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/load_control.h"

#include <cmath>

#include "client/cpp/status.h"

namespace attend::client::internal {

absl::Status LoadControl::Validate(const RetryPolicy& retry,
                                   const std::optional<ThrottlingPolicy>& throttling) {
  // The negations also refuse NaN.
  if (retry.max_attempts < 1 || !(retry.multiplier >= 1) ||
      retry.initial_backoff < absl::ZeroDuration() || retry.max_backoff < retry.initial_backoff) {
    return LocalError("INVALID_OPTION", "retry",
                      "needs max_attempts >= 1, multiplier >= 1 and "
                      "0 <= initial_backoff <= max_backoff");
  }
  if (!(retry.max_tokens >= 0) || !std::isfinite(retry.max_tokens) || !(retry.token_ratio >= 0) ||
      !std::isfinite(retry.token_ratio)) {
    return LocalError("INVALID_OPTION", "retry",
                      "needs finite max_tokens >= 0 and token_ratio >= 0");
  }
  if (!throttling.has_value()) return absl::OkStatus();
  if (!(throttling->requests_per_accept >= 1) || throttling->window < absl::Milliseconds(1) ||
      throttling->window == absl::InfiniteDuration()) {
    return LocalError("INVALID_OPTION", "throttling",
                      "needs requests_per_accept >= 1 and a finite window of 1 ms or more");
  }
  return absl::OkStatus();
}

LoadControl::LoadControl(const RetryPolicy& retry,
                         const std::optional<ThrottlingPolicy>& throttling, Pacer& pacer)
    : pacer_(pacer), budget_(retry.max_tokens, retry.token_ratio) {
  if (throttling.has_value()) throttle_.emplace(*throttling);
}

bool LoadControl::Admit() {
  MutexLock lock(mutex_);
  return !throttle_.has_value() || throttle_->Admit(pacer_.Now(), pacer_.Uniform());
}

void LoadControl::RecordSuccess() {
  MutexLock lock(mutex_);
  budget_.RecordSuccess();
  if (throttle_.has_value()) throttle_->RecordAccept(pacer_.Now());
}

void LoadControl::RecordFailure(FailureKind kind, std::optional<absl::Duration> pushback,
                                int attempts) {
  // A call's first refusal by a server that drains is free; its retry goes to another server. Later
  // ones count, or a server that always says so would get max_attempts calls per request.
  const bool costs = kind == FailureKind::kUnavailable || kind == FailureKind::kOverloaded ||
                     (kind == FailureKind::kDraining && attempts > 1);
  // gRFC A6 counts a server that forbids the retry like one that fails.
  const bool forbidden = pushback.has_value() && *pushback < absl::ZeroDuration();
  MutexLock lock(mutex_);
  if (costs || forbidden) budget_.RecordFailure();
  if (!throttle_.has_value()) return;
  if (kind == FailureKind::kOverloaded) {
    throttle_->RecordRefusal(pacer_.Now());
  } else if (kind == FailureKind::kRejected) {
    // The server had the time to look at the call.
    throttle_->RecordAccept(pacer_.Now());
  }
}

bool LoadControl::AllowsRetry() {
  MutexLock lock(mutex_);
  return budget_.AllowsRetry();
}

}  // namespace attend::client::internal
