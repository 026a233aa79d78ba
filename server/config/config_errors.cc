// SPDX-License-Identifier: Apache-2.0
#include "server/config/config_errors.h"

#include <algorithm>

#include "absl/strings/str_join.h"

namespace attend {

void ConfigErrors::AddWrong(absl::string_view setting, std::string line) {
  wrong_.emplace(setting);
  Add(std::move(line));
}

bool ConfigErrors::AreUsable(std::initializer_list<absl::string_view> settings) const {
  return std::none_of(settings.begin(), settings.end(),
                      [this](absl::string_view name) { return wrong_.count(name) > 0; });
}

absl::Status ConfigErrors::status() const {
  if (lines_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(lines_, "\n"));
}

}  // namespace attend
