// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_LOAD_CONTROL_H_
#define ATTEND_CLIENT_CPP_LOAD_CONTROL_H_

#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cpp/mutex.h"
#include "client/cpp/pacer.h"
#include "client/cpp/retry.h"
#include "client/cpp/throttle.h"

namespace attend::client::internal {

// What all calls of one client share, so that together they do not overload
// the server: the retry budget and the adaptive throttle. Thread-safe.
class LoadControl {
 public:
  // INVALID_ARGUMENT, with the option's name, where a policy is wrong.
  static absl::Status Validate(const RetryPolicy& retry,
                               const std::optional<ThrottlingPolicy>& throttling);

  // The policies must be valid. `throttling` absent: every request is admitted. `pacer` must
  // outlive this.
  LoadControl(const RetryPolicy& retry, const std::optional<ThrottlingPolicy>& throttling,
              Pacer& pacer);

  // Whether a new request may be sent. Retries are limited by the budget alone.
  bool Admit();

  // After each attempt. `attempts` is how many were made for the request so far, this one included.
  void RecordSuccess();
  void RecordFailure(FailureKind kind, std::optional<absl::Duration> pushback, int attempts);

  // Whether the budget has a retry left, after RecordFailure.
  bool AllowsRetry();

 private:
  Pacer& pacer_;

  Mutex mutex_;
  RetryBudget budget_ ABSL_GUARDED_BY(mutex_);
  std::optional<AdaptiveThrottle> throttle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_LOAD_CONTROL_H_
