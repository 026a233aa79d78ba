// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_CONFIG_FILE_H_
#define ATTEND_SERVER_CONFIG_CONFIG_FILE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/config/config_errors.h"
#include "server/config/server_config.h"
#include "server/config/setting.h"

namespace attend {

// A configuration file has one setting per line, `name = value`, where the name is that of the flag
// without its dashes and the value is the rest of the line without white space around it. A
// repeatable setting has one line per value. Empty lines and lines that begin with # are ignored.

// Reads the file at `path`. An error begins with the path and the number of the line. Blocks.
void ReadConfigFile(const std::string& path, std::vector<Setting>& settings, ConfigErrors& errors);

// Reads its text; `path` is for errors.
void ReadConfigText(absl::string_view text, absl::string_view path, std::vector<Setting>& settings,
                    ConfigErrors& errors);

// The text of a file that sets everything as `config` has it.
std::string ConfigText(const ServerConfig& config);

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_CONFIG_FILE_H_
