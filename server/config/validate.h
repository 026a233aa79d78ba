// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_VALIDATE_H_
#define ATTEND_SERVER_CONFIG_VALIDATE_H_

#include "absl/status/status.h"
#include "server/config/config_errors.h"
#include "server/config/server_config.h"

namespace attend {

// Adds an error for each thing that no single setting can tell, which names the settings. Leaves
// out what involves a setting that has no usable value.
void FindContradictions(const ServerConfig& config, ConfigErrors& errors);

// INVALID_ARGUMENT with one line per contradiction.
absl::Status Validate(const ServerConfig& config);

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_VALIDATE_H_
