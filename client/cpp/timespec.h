// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_TIMESPEC_H_
#define ATTEND_CLIENT_CPP_TIMESPEC_H_

#include "absl/time/time.h"
#include "grpc/support/time.h"

namespace attend::client::internal {

// A time from now on the steady clock, as gRPC takes it.
inline gpr_timespec MonotonicAfter(absl::Duration wait) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_nanos(absl::ToInt64Nanoseconds(wait), GPR_TIMESPAN));
}

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_TIMESPEC_H_
