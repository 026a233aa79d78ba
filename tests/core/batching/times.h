// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_BATCHING_TIMES_H_
#define ATTEND_TESTS_CORE_BATCHING_TIMES_H_

#include "absl/time/time.h"

namespace attend {

// Some time, for tests whose clock does not move by itself.
inline const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);

inline absl::Duration Ms(double milliseconds) {
  return absl::Milliseconds(milliseconds);
}

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_BATCHING_TIMES_H_
