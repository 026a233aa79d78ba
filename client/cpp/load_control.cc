// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/load_control.h"

namespace attend::client::internal {

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

void LoadControl::RecordFailure(FailureKind kind, std::optional<absl::Duration> pushback) {
  const bool retryable = kind == FailureKind::kUnavailable || kind == FailureKind::kOverloaded;
  // gRFC A6 counts a server that forbids the retry like one that fails.
  const bool forbidden = pushback.has_value() && *pushback < absl::ZeroDuration();
  MutexLock lock(mutex_);
  if (retryable || forbidden) budget_.RecordFailure();
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
