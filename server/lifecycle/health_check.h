// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_HEALTH_CHECK_H_
#define ATTEND_SERVER_LIFECYCLE_HEALTH_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/config/server_config.h"

namespace attend {

// Asks a server for its health, as a container's HEALTHCHECK: OK if it serves.
// Blocks for `timeout` at most. With an empty target, the first address of
// `config`, by way of the loopback where that is every interface. With TLS it
// does not ask who the server is (it is this machine's), and shows the server's
// own certificate where one is demanded; a unix: address needs neither. An error
// is one line; what the peer says is in it as a quoted string (LogQuoted).
absl::Status CheckHealth(const ServerConfig& config, const std::string& target,
                         absl::Duration timeout);

// The address to ask for the health of a server that listens on `listen`.
std::string HealthTarget(const std::string& listen);

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_HEALTH_CHECK_H_
