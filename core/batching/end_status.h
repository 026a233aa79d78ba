// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_END_STATUS_H_
#define ATTEND_CORE_BATCHING_END_STATUS_H_

#include "absl/status/status.h"

namespace attend {

// The statuses of items that end without a result.

absl::Status ExpiredError();    // DEADLINE_EXCEEDED EXPIRED
absl::Status CancelledError();  // CANCELLED CANCELLED
absl::Status DrainingError();   // UNAVAILABLE DRAINING

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_END_STATUS_H_
