// SPDX-License-Identifier: Apache-2.0
#include "core/batching/end_status.h"

#include "core/base/status.h"

namespace attend {

absl::Status ExpiredError() {
  return MakeError(absl::StatusCode::kDeadlineExceeded, "EXPIRED", "",
                   "the deadline passed before the result");
}

absl::Status CancelledError() {
  return MakeError(absl::StatusCode::kCancelled, "CANCELLED", "", "the request was cancelled");
}

absl::Status DrainingError() {
  return MakeError(absl::StatusCode::kUnavailable, "DRAINING", "",
                   "the server is shutting down; use another one");
}

}  // namespace attend
