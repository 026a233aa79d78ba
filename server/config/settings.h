// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_SETTINGS_H_
#define ATTEND_SERVER_CONFIG_SETTINGS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/config/server_config.h"
#include "server/config/setting.h"

namespace attend {

// The table of all settings, bound to `config`, which must outlive it.
std::vector<Setting> MakeSettings(ServerConfig& config);

// "max-request-bytes" -> "ATTEND_MAX_REQUEST_BYTES"
std::string EnvironmentName(absl::string_view setting);

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_SETTINGS_H_
