// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_SETTING_TYPES_H_
#define ATTEND_SERVER_CONFIG_SETTING_TYPES_H_

#include <sys/types.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/config/setting.h"

namespace attend {

// How texts of settings become values. Errors are INVALID_ARGUMENT, say what is
// allowed, and do not name the setting.

// Bytes: a number with an optional unit KiB, MiB or GiB: "256MiB".
absl::StatusOr<int64_t> ParseBytes(absl::string_view text);
std::string FormatBytes(int64_t bytes);

// What a setting binds to; `field` is borrowed. Each fills in set, clear and get.
Setting IntSetting(Setting base, int64_t& field, int64_t min, int64_t max);
Setting IntSetting(Setting base, int& field, int min, int max);
Setting NumberSetting(Setting base, double& field, double min, double max);
Setting BytesSetting(Setting base, int64_t& field, int64_t min,
                     int64_t max = std::numeric_limits<int64_t>::max());
Setting BoolSetting(Setting base, bool& field);
Setting DurationSetting(Setting base, absl::Duration& field, absl::Duration min,
                        absl::Duration max);
Setting StringSetting(Setting base, std::string& field);
// Octal permissions of a file, as chmod takes them; nothing is no value.
Setting ModeSetting(Setting base, std::optional<mode_t>& field);

// One of a few words, each with the value that it stands for.
template <typename T>
Setting ChoiceSetting(Setting base, T& field,
                      std::vector<std::pair<absl::string_view, T>> choices) {
  base.set = [&field, choices](absl::string_view text) {
    for (const auto& [name, value] : choices) {
      if (text == name) {
        field = value;
        return absl::OkStatus();
      }
    }
    std::string allowed;
    for (size_t i = 0; i < choices.size(); ++i) {
      const bool last = i + 1 == choices.size();
      absl::StrAppend(&allowed, i == 0 ? "" : last ? " or " : ", ", choices[i].first);
    }
    return absl::InvalidArgumentError(absl::StrCat("must be ", allowed, "; got \"", text, "\""));
  };
  base.get = [&field, choices] {
    std::vector<std::string> values;
    for (const auto& [name, value] : choices) {
      if (value == field) values.emplace_back(name);
    }
    return values;
  };
  return base;
}

// A list whose elements come from texts and go back to them.
template <typename T>
Setting ListSetting(Setting base, std::vector<T>& field,
                    absl::StatusOr<T> (*parse)(absl::string_view),
                    std::string (*format)(const T&)) {
  base.repeatable = true;
  base.set = [&field, parse](absl::string_view text) {
    absl::StatusOr<T> value = parse(text);
    if (!value.ok()) return value.status();
    field.push_back(*std::move(value));
    return absl::OkStatus();
  };
  base.clear = [&field] { field.clear(); };
  base.get = [&field, format] {
    std::vector<std::string> values;
    for (const T& value : field) values.push_back(format(value));
    return values;
  };
  return base;
}

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_SETTING_TYPES_H_
