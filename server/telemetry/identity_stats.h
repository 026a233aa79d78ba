// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_IDENTITY_STATS_H_
#define ATTEND_SERVER_TELEMETRY_IDENTITY_STATS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/quota.h"

namespace attend {

// The identities in service, by name, and how often their file has been read again.
struct IdentityStats {
  std::vector<std::pair<std::string, Quota::Use>> identities;
  int64_t reloads_ok = 0;
  int64_t reloads_refused = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_IDENTITY_STATS_H_
