// SPDX-License-Identifier: Apache-2.0
#include "server/config/command_line.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "server/config/config_errors.h"
#include "server/config/config_file.h"
#include "server/config/setting.h"
#include "server/config/setting_source.h"
#include "server/config/settings.h"
#include "server/config/validate.h"

namespace attend {
namespace {

// Reads what --config or ATTEND_CONFIG names, so that everything else wins over it.
void ReadFile(absl::string_view flag, const Environment& environment,
              std::vector<Setting>& settings, ConfigErrors& errors) {
  const char* variable = environment("ATTEND_CONFIG");
  const std::string path(flag.empty() && variable != nullptr ? variable : flag);
  if (!path.empty()) ReadConfigFile(path, settings, errors);
}

void ReadEnvironment(const Environment& environment, std::vector<Setting>& settings,
                     ConfigErrors& errors) {
  SettingSource source(settings, errors);
  for (const Setting& setting : settings) {
    const std::string name = EnvironmentName(setting.name);
    const char* text = environment(name);
    if (text == nullptr || *text == '\0') continue;
    if (!setting.repeatable) {
      source.Set(setting, name, text);
      continue;
    }
    setting.clear();
    for (const absl::string_view value : absl::StrSplit(text, ';', absl::SkipEmpty())) {
      source.Set(setting, name, value);
    }
  }
}

// The flags of a command line, in order.
struct Flag {
  absl::string_view name;
  std::optional<absl::string_view> value;  // none: the flag is the last argument
};

// What the arguments ask for besides settings.
struct Arguments {
  std::vector<Flag> settings;
  absl::string_view config_file;
  bool asks_for_text = false;  // help or version, which are given whatever else is wrong
};

// Whether an argument may be the value of the flag before it, which need not have one.
bool IsValue(absl::string_view argument) {
  return !absl::StartsWith(argument, "-");
}

class ArgumentReader {
 public:
  ArgumentReader(absl::Span<const char* const> arguments, ConfigErrors& errors)
      : left_(arguments), errors_(errors) {}

  Arguments Read(const std::vector<Setting>& settings, CommandLine& line) {
    Arguments arguments;
    while (!left_.empty()) {
      const absl::string_view text = Next();
      absl::string_view name = text == "-h" ? "--help" : text;
      if (!absl::ConsumePrefix(&name, "--") || name.empty()) {
        errors_.Add(absl::StrCat("\"", text, "\" is not a flag; see --help"));
        continue;
      }
      Flag flag{name, std::nullopt};
      if (const size_t equals = name.find('='); equals != absl::string_view::npos) {
        flag = {name.substr(0, equals), name.substr(equals + 1)};
      }
      if (ReadAction(flag, line, arguments)) continue;
      const bool known = flag.name == "config" ||
                         std::any_of(settings.begin(), settings.end(), [&](const Setting& setting) {
                           return setting.name == flag.name;
                         });
      // The value of an unknown flag is no error of its own.
      if (!flag.value.has_value() && !left_.empty() && (known || IsValue(left_.front()))) {
        flag.value = Next();
      }
      if (!known) {
        errors_.Add(absl::StrCat("--", flag.name, " is not a flag; see --help"));
      } else if (flag.name == "config") {
        ReadConfig(flag, arguments);
      } else {
        arguments.settings.push_back(flag);
      }
    }
    return arguments;
  }

 private:
  absl::string_view Next() {
    const absl::string_view argument = left_.front();
    left_.remove_prefix(1);
    return argument;
  }

  void ReadConfig(const Flag& flag, Arguments& arguments) {
    if (flag.value.value_or("").empty()) return errors_.Add("--config needs a value: FILE");
    if (!arguments.config_file.empty()) return errors_.Add("--config is given twice");
    arguments.config_file = *flag.value;
  }

  // Reads flags that ask for something other than serving.
  bool ReadAction(const Flag& flag, CommandLine& line, Arguments& arguments) {
    using Action = CommandLine::Action;
    if (flag.name == "healthcheck") {
      line.action = Action::kHealthCheck;
      line.health_check_target = std::string(flag.value.value_or(""));
      if (!flag.value.has_value() && !left_.empty() && IsValue(left_.front())) {
        line.health_check_target = std::string(Next());
      }
      return true;
    }
    if (flag.value.has_value()) return false;
    if (flag.name == "help") {
      line.action = Action::kHelp;
    } else if (flag.name == "version") {
      line.action = Action::kVersion;
    } else if (flag.name == "print-config") {
      line.action = Action::kPrintConfig;
    } else {
      return false;
    }
    arguments.asks_for_text = line.action != Action::kPrintConfig;
    return true;
  }

  absl::Span<const char* const> left_;
  ConfigErrors& errors_;
};

void ReadFlags(absl::Span<const Flag> flags, std::vector<Setting>& settings, ConfigErrors& errors) {
  SettingSource source(settings, errors);
  for (const Flag& flag : flags) {
    const Setting& setting = *source.Find(flag.name);
    const std::string place = absl::StrCat("--", flag.name);
    if (flag.value.has_value()) {
      source.Set(setting, place, *flag.value);
    } else {
      errors.AddWrong(flag.name, absl::StrCat(place, " needs a value: ", setting.value));
    }
  }
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<const char* const> arguments,
                                             const Environment& environment,
                                             LogFormat* log_format) {
  CommandLine line;
  ConfigErrors errors;
  std::vector<Setting> settings = MakeSettings(line.config);
  const Arguments read = ArgumentReader(arguments, errors).Read(settings, line);
  if (read.asks_for_text) return line;
  ReadFile(read.config_file, environment, settings, errors);
  ReadEnvironment(environment, settings, errors);
  ReadFlags(read.settings, settings, errors);
  if (log_format != nullptr) *log_format = line.config.telemetry.log_format;
  FindContradictions(line.config, errors);
  ATTEND_RETURN_IF_ERROR(errors.status());
  return line;
}

std::string HelpText() {
  std::string text =
      "attend-server serves attention over gRPC.\n\n"
      "Every setting is a flag --NAME=VALUE and an environment variable ATTEND_NAME in upper\n"
      "case with _ for -. Values of a repeatable one are separated by ; in its variable. A file\n"
      "of settings has lines NAME = VALUE, one per value, and comments that begin with #. A flag\n"
      "wins over its variable, and that over the file.\n"
      "\nConfiguration file\n"
      "  --config=FILE\n      file of settings; --print-config prints one. Variable: "
      "ATTEND_CONFIG\n";
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
  absl::StrAppend(
      &text,
      "\nInstead of serving\n"
      "  --print-config\n      print all settings as they would be used, as a "
      "configuration file\n"
      "  --healthcheck[=TARGET]\n      ask a running server for its health; exit 0 if "
      "it serves. Default: the first --listen\n"
      "  --version\n  -h, --help\n"
      "\nExit codes\n"
      "  0  The server has drained after SIGTERM or SIGINT, or has done what it was "
      "asked for instead.\n"
      "  1  The server cannot start, or the server that --healthcheck asked does not "
      "serve.\n"
      "  2  The flags, the environment or the configuration file are wrong; nothing was "
      "started.\n"
      "  128 + N  A second signal N ended the server at once: 130 after SIGINT, 143 "
      "after SIGTERM.\n");
  return text;
}

std::vector<std::pair<std::string, std::string>> PublicSettings(const ServerConfig& config) {
  ServerConfig copy = config;
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Setting& setting : MakeSettings(copy)) {
    std::vector<std::string> values = setting.get();
    for (std::string& value : values) {
      if (absl::StartsWith(value, "unix:")) value = "unix:";
      if (!absl::StrContains(setting.value, "PATH") || value.empty()) continue;
      // A model has a name before its path.
      const size_t name = setting.repeatable ? value.find('=') : std::string::npos;
      value = name == std::string::npos ? "(a file)" : value.substr(0, name);
    }
    rows.emplace_back(setting.name, absl::StrJoin(values, ", "));
  }
  return rows;
}

}  // namespace attend
