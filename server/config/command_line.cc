// SPDX-License-Identifier: Apache-2.0
#include "server/config/command_line.h"

#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "server/config/settings.h"
#include "server/config/validate.h"

namespace attend {
namespace {

absl::Status Named(absl::string_view name, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", status.message()));
}

absl::Status ReadEnvironment(const Environment& environment, std::vector<Setting>& settings) {
  for (Setting& setting : settings) {
    const std::string name = EnvironmentName(setting.name);
    const char* text = environment(name);
    if (text == nullptr || *text == '\0') continue;
    if (!setting.repeatable) {
      ATTEND_RETURN_IF_ERROR(Named(name, setting.set(text)));
      continue;
    }
    setting.clear();
    for (const absl::string_view value : absl::StrSplit(text, ';', absl::SkipEmpty())) {
      ATTEND_RETURN_IF_ERROR(Named(name, setting.set(value)));
    }
  }
  return absl::OkStatus();
}

struct Argument {
  absl::string_view name;
  std::optional<absl::string_view> value;
};

absl::StatusOr<Argument> Split(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "--") || text.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not a flag; see --help"));
  }
  Argument argument{text, std::nullopt};
  if (const size_t equals = text.find('='); equals != absl::string_view::npos) {
    argument = {text.substr(0, equals), text.substr(equals + 1)};
  }
  return argument;
}

// Flags that ask for something other than serving.
bool ReadAction(const Argument& argument, CommandLine& line) {
  using Action = CommandLine::Action;
  if (argument.name == "healthcheck") {
    line.action = Action::kHealthCheck;
    line.health_check_target = std::string(argument.value.value_or(""));
    return true;
  }
  if (argument.value.has_value()) return false;
  if (argument.name == "help") {
    line.action = Action::kHelp;
  } else if (argument.name == "version") {
    line.action = Action::kVersion;
  } else if (argument.name == "print-config") {
    line.action = Action::kPrintConfig;
  } else {
    return false;
  }
  return true;
}

Setting* Find(std::vector<Setting>& settings, absl::string_view name) {
  for (Setting& setting : settings) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

absl::Status ReadFlags(absl::Span<const char* const> arguments, std::vector<Setting>& settings,
                       CommandLine& line) {
  std::set<absl::string_view> given;
  for (size_t i = 0; i < arguments.size(); ++i) {
    ATTEND_ASSIGN_OR_RETURN(Argument argument, Split(arguments[i]));
    if (ReadAction(argument, line)) continue;
    const std::string flag = absl::StrCat("--", argument.name);
    Setting* setting = Find(settings, argument.name);
    if (setting == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(flag, " is not a flag; see --help"));
    }
    if (!argument.value.has_value()) {
      if (i + 1 == arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat(flag, " needs a value: ", setting->value));
      }
      argument.value = arguments[++i];
    }
    const bool first = given.insert(setting->name).second;
    if (setting->repeatable) {
      if (first) setting->clear();
    } else if (!first) {
      return absl::InvalidArgumentError(absl::StrCat(flag, " is given twice"));
    }
    ATTEND_RETURN_IF_ERROR(Named(flag, setting->set(*argument.value)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<const char* const> arguments,
                                             const Environment& environment) {
  CommandLine line;
  std::vector<Setting> settings = MakeSettings(line.config);
  ATTEND_RETURN_IF_ERROR(ReadEnvironment(environment, settings));
  ATTEND_RETURN_IF_ERROR(ReadFlags(arguments, settings, line));
  ATTEND_RETURN_IF_ERROR(Validate(line.config));
  return line;
}

LogFormat FindLogFormat(absl::Span<const char* const> arguments, const Environment& environment) {
  const char* const variable = environment(EnvironmentName("log-format"));
  absl::string_view format = variable == nullptr ? "" : variable;
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view argument = arguments[i];
    if (argument == "--log-format" && i + 1 < arguments.size()) format = arguments[i + 1];
    if (absl::ConsumePrefix(&argument, "--log-format=")) format = argument;
  }
  return format == "json" ? LogFormat::kJson : LogFormat::kText;
}

std::string HelpText() {
  std::string text =
      "attend-server serves attention over gRPC.\n\n"
      "Every setting is a flag --NAME=VALUE and an environment variable ATTEND_NAME in upper\n"
      "case with _ for -. The flag wins. Values of a repeatable one are separated by ; in its\n"
      "variable.\n";
  ServerConfig defaults;
  absl::string_view group;
  for (const Setting& setting : MakeSettings(defaults)) {
    if (setting.group != group) absl::StrAppend(&text, "\n", setting.group, "\n");
    group = setting.group;
    absl::StrAppend(&text, "  --", setting.name, "=", setting.value,
                    setting.repeatable ? "  (repeatable)" : "", "\n      ", setting.help);
    const std::string value = absl::StrJoin(setting.get(), " ");
    absl::StrAppend(&text, value.empty() ? "" : absl::StrCat(". Default: ", value), "\n");
  }
  absl::StrAppend(&text,
                  "\nInstead of serving\n"
                  "  --print-config\n      print all settings as they would be used\n"
                  "  --healthcheck[=TARGET]\n      ask a running server for its health; exit 0 if "
                  "it serves. Default: the first --listen\n"
                  "  --version\n  --help\n");
  return text;
}

std::string ConfigText(const ServerConfig& config) {
  ServerConfig copy = config;
  std::string text;
  for (const Setting& setting : MakeSettings(copy)) {
    for (const std::string& value : setting.get()) {
      absl::StrAppend(&text, "--", setting.name, "=", value, "\n");
    }
  }
  return text;
}

}  // namespace attend
