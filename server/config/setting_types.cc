// SPDX-License-Identifier: Apache-2.0
#include "server/config/setting_types.h"

#include <charconv>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace attend {
namespace {

constexpr std::pair<absl::string_view, int64_t> kUnits[] = {
    {"GiB", int64_t{1} << 30}, {"MiB", int64_t{1} << 20}, {"KiB", int64_t{1} << 10}};

bool Parse(absl::string_view text, int64_t& value) {
  return absl::SimpleAtoi(text, &value);
}
bool Parse(absl::string_view text, double& value) {
  return absl::SimpleAtod(text, &value);
}

// Numbers are read as Wide, which holds all of T.
template <typename Wide, typename T>
Setting Number(Setting base, T& field, T min, T max) {
  base.set = [&field, min, max](absl::string_view text) {
    Wide value = 0;
    // Not a number compares with nothing.
    if (!Parse(text, value) || !(value >= min && value <= max)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is not a number from ", min, " to ", max));
    }
    field = static_cast<T>(value);
    return absl::OkStatus();
  };
  base.get = [&field] { return std::vector<std::string>{absl::StrCat(field)}; };
  return base;
}

}  // namespace

absl::StatusOr<int64_t> ParseBytes(absl::string_view text) {
  absl::string_view number = text;
  int64_t unit = 1;
  for (const auto& [suffix, bytes] : kUnits) {
    if (absl::ConsumeSuffix(&number, suffix)) {
      unit = bytes;
      break;
    }
  }
  int64_t value = 0;
  if (!absl::SimpleAtoi(number, &value) || value < 0 ||
      value > std::numeric_limits<int64_t>::max() / unit) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a number of bytes such as 1048576 or 1MiB"));
  }
  return value * unit;
}

std::string FormatBytes(int64_t bytes) {
  for (const auto& [suffix, unit] : kUnits) {
    if (bytes >= unit && bytes % unit == 0) return absl::StrCat(bytes / unit, suffix);
  }
  return absl::StrCat(bytes);
}

Setting IntSetting(Setting base, int64_t& field, int64_t min, int64_t max) {
  return Number<int64_t>(std::move(base), field, min, max);
}

Setting IntSetting(Setting base, int& field, int min, int max) {
  return Number<int64_t>(std::move(base), field, min, max);
}

Setting NumberSetting(Setting base, double& field, double min, double max) {
  return Number<double>(std::move(base), field, min, max);
}

Setting BytesSetting(Setting base, int64_t& field, int64_t min, int64_t max) {
  base.set = [&field, min, max](absl::string_view text) {
    const absl::StatusOr<int64_t> value = ParseBytes(text);
    if (!value.ok()) return value.status();
    if (*value < min) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is less than ", FormatBytes(min)));
    }
    if (*value > max) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is more than ", FormatBytes(max)));
    }
    field = *value;
    return absl::OkStatus();
  };
  base.get = [&field] { return std::vector<std::string>{FormatBytes(field)}; };
  return base;
}

Setting BoolSetting(Setting base, bool& field) {
  base.set = [&field](absl::string_view text) {
    if (text != "on" && text != "off") {
      return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is neither on nor off"));
    }
    field = text == "on";
    return absl::OkStatus();
  };
  base.get = [&field] { return std::vector<std::string>{field ? "on" : "off"}; };
  return base;
}

Setting DurationSetting(Setting base, absl::Duration& field, absl::Duration min,
                        absl::Duration max) {
  base.set = [&field, min, max](absl::string_view text) {
    absl::Duration value;
    if (!absl::ParseDuration(text, &value) || value < min || value > max) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is not a duration such as 500ms or 30s from ",
                       absl::FormatDuration(min), " to ", absl::FormatDuration(max)));
    }
    field = value;
    return absl::OkStatus();
  };
  base.get = [&field] { return std::vector<std::string>{absl::FormatDuration(field)}; };
  return base;
}

Setting StringSetting(Setting base, std::string& field) {
  base.set = [&field](absl::string_view text) {
    field = std::string(text);
    return absl::OkStatus();
  };
  base.get = [&field] { return std::vector<std::string>{field}; };
  return base;
}

Setting ModeSetting(Setting base, std::optional<mode_t>& field) {
  base.set = [&field](absl::string_view text) {
    field.reset();
    if (text.empty()) return absl::OkStatus();
    mode_t mode = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    if (error != std::errc() || end != text.data() + text.size() || mode > 0777) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is not an octal mode such as 0660, at most 0777"));
    }
    field = mode;
    return absl::OkStatus();
  };
  base.get = [&field] {
    return std::vector<std::string>{field ? absl::StrFormat("%04o", *field) : ""};
  };
  return base;
}

}  // namespace attend
