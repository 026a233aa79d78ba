// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_TLS_STATS_H_
#define ATTEND_SERVER_TELEMETRY_TLS_STATS_H_

#include <cstdint>

#include "absl/time/time.h"

namespace attend {

// The certificate in service, and what became of changes of its files since the start.
struct TlsStats {
  absl::Time not_after;
  int64_t reloads_ok = 0;
  int64_t reloads_refused = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_TLS_STATS_H_
