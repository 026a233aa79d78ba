// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_SETTING_TYPES_H_
#define ATTEND_SERVER_CONFIG_SETTING_TYPES_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/statusor.h"
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

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_SETTING_TYPES_H_
