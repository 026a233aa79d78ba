// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_COMMAND_LINE_H_
#define ATTEND_SERVER_CONFIG_COMMAND_LINE_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/config/server_config.h"

namespace attend {

// What the program is asked to do.
struct CommandLine {
  enum class Action { kServe, kHelp, kVersion, kPrintConfig, kHealthCheck };
  Action action = Action::kServe;
  std::string health_check_target;  // empty: the first --listen
  ServerConfig config;
};

// The value of an environment variable, nullptr where it is not set.
using Environment = std::function<const char*(const std::string& name)>;

// Reads flags (without the program's name) over the environment over the file that --config or
// ATTEND_CONFIG names (see config_file.h) over defaults. Flags are --name=value or --name value. An
// empty variable counts as not set. INVALID_ARGUMENT with one line per error that names the flag,
// the variable or the file's line: unknown flags, stray arguments, values that do not parse or do
// not fit together. --help and --version are answered whatever else is wrong. `log_format`, unless
// it is nullptr, is set to the format of the log that is asked for, also where something else is
// wrong. Blocks while it reads the file.
absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<const char* const> arguments,
                                             const Environment& environment,
                                             LogFormat* log_format = nullptr);

// What --help prints.
std::string HelpText();

// Names and values of all settings, for pages that more people see than the command line: nothing
// that is a path is in it, only whether there is one.
std::vector<std::pair<std::string, std::string>> PublicSettings(const ServerConfig& config);

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_COMMAND_LINE_H_
