// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_LOG_LIMIT_H_
#define ATTEND_SERVER_TELEMETRY_LOG_LIMIT_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace attend {

// Admits so many lines in each second, so that who makes a server complain cannot fill its log.
// Thread-safe.
class LogLimit {
 public:
  LogLimit(int64_t per_second, const Clock& clock) : per_second_(per_second), clock_(clock) {}

  // How many lines were left out since the last one that was admitted; nullopt: leave this one out.
  std::optional<int64_t> Admit();

 private:
  const int64_t per_second_;
  const Clock& clock_;
  Mutex mutex_;
  absl::Time second_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // when it began
  int64_t admitted_ ABSL_GUARDED_BY(mutex_) = 0;                      // in that second
  int64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_LOG_LIMIT_H_
