// SPDX-License-Identifier: Apache-2.0
#include "server/config/config_file.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"
#include "core/base/read_file.h"
#include "server/config/setting_source.h"
#include "server/config/settings.h"
#include "server/config/text_lines.h"

namespace attend {

void ReadConfigFile(const std::string& path, std::vector<Setting>& settings, ConfigErrors& errors) {
  const absl::StatusOr<std::string> text = ReadFileUpTo(SIZE_MAX, path);
  if (!text.ok()) {
    return errors.Add(
        absl::StrCat("--config=", path, " cannot be read: ", text.status().message()));
  }
  ReadConfigText(*text, path, settings, errors);
}

void ReadConfigText(absl::string_view text, absl::string_view path, std::vector<Setting>& settings,
                    ConfigErrors& errors) {
  SettingSource source(settings, errors);
  ForEachLine(text, path, [&](absl::string_view line, const std::string& place) {
    const size_t equals = line.find('=');
    if (equals == absl::string_view::npos) {
      errors.Add(absl::StrCat(place, Quoted(line), " must be NAME = VALUE, or begin with #"));
      return;
    }
    const absl::string_view name = absl::StripAsciiWhitespace(line.substr(0, equals));
    const Setting* setting = source.Find(name);
    if (setting == nullptr) {
      errors.Add(absl::StrCat(place, Quoted(name),
                              " is not a setting; --help lists them, without -- in a file"));
      return;
    }
    source.Set(*setting, absl::StrCat(place, name),
               absl::StripAsciiWhitespace(line.substr(equals + 1)));
  });
}

std::string ConfigText(const ServerConfig& config) {
  ServerConfig copy = config;
  std::string text;
  for (const Setting& setting : MakeSettings(copy)) {
    for (const std::string& value : setting.get()) {
      absl::StrAppend(&text, setting.name, " =", value.empty() ? "" : " ", value, "\n");
    }
  }
  return text;
}

}  // namespace attend
