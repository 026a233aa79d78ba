// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_VALIDATE_H_
#define ATTEND_SERVER_CONFIG_VALIDATE_H_

#include "absl/status/status.h"
#include "server/config/server_config.h"

namespace attend {

// Checks what no single setting can tell. INVALID_ARGUMENT that names the settings.
absl::Status Validate(const ServerConfig& config);

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_VALIDATE_H_
