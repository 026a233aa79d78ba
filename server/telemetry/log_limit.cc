// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/log_limit.h"

#include <utility>

namespace attend {

std::optional<int64_t> LogLimit::Admit() {
  MutexLock lock(mutex_);
  const absl::Time now = clock_.Now();
  if (now - second_ >= absl::Seconds(1)) {
    second_ = now;
    admitted_ = 0;
  }
  if (admitted_ == per_second_) {
    ++left_out_;
    return std::nullopt;
  }
  ++admitted_;
  return std::exchange(left_out_, 0);
}

}  // namespace attend
