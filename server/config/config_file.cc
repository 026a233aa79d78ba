// SPDX-License-Identifier: Apache-2.0
#include "server/config/config_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/quoted.h"
#include "server/config/setting_source.h"
#include "server/config/settings.h"

namespace attend {

void ReadConfigFile(const std::string& path, std::vector<Setting>& settings, ConfigErrors& errors) {
  std::string text;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  int error = file == nullptr ? errno : 0;
  if (file != nullptr) {
    char buffer[4096];
    while (const size_t size = std::fread(buffer, 1, sizeof(buffer), file)) {
      text.append(buffer, size);
    }
    if (std::ferror(file) != 0) error = errno;  // as of a directory
    std::fclose(file);
  }
  if (error != 0) {
    return errors.Add(absl::StrCat("--config=", path, " cannot be read: ", std::strerror(error)));
  }
  ReadConfigText(text, path, settings, errors);
}

void ReadConfigText(absl::string_view text, absl::string_view path, std::vector<Setting>& settings,
                    ConfigErrors& errors) {
  SettingSource source(settings, errors);
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || absl::StartsWith(line, "#")) continue;
    const std::string place = absl::StrCat(path, ":", number, ": ");
    const size_t equals = line.find('=');
    if (equals == absl::string_view::npos) {
      errors.Add(absl::StrCat(place, Quoted(line), " must be NAME = VALUE, or begin with #"));
      continue;
    }
    const absl::string_view name = absl::StripAsciiWhitespace(line.substr(0, equals));
    const Setting* setting = source.Find(name);
    if (setting == nullptr) {
      errors.Add(absl::StrCat(place, Quoted(name),
                              " is not a setting; --help lists them, without -- in a file"));
      continue;
    }
    source.Set(*setting, absl::StrCat(place, name),
               absl::StripAsciiWhitespace(line.substr(equals + 1)));
  }
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
