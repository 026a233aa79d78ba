// SPDX-License-Identifier: Apache-2.0
#include "server/config/setting_source.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"

namespace attend {
namespace {

absl::Status CheckText(absl::string_view value) {
  if (value == absl::StripAsciiWhitespace(value) &&
      value.find_first_of("\r\n") == absl::string_view::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      Quoted(value), " must not begin or end with white space, and must not have line breaks"));
}

}  // namespace

const Setting* SettingSource::Find(absl::string_view name) const {
  for (const Setting& setting : settings_) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

void SettingSource::Set(const Setting& setting, absl::string_view place, absl::string_view value) {
  const bool first = given_.insert(setting.name).second;
  if (!first && !setting.repeatable) {
    return errors_.AddWrong(setting.name, absl::StrCat(place, " is given twice"));
  }
  if (first && setting.repeatable) setting.clear();
  absl::Status status = CheckText(value);
  if (status.ok()) status = setting.set(value);
  if (!status.ok()) {
    errors_.AddWrong(setting.name, absl::StrCat(place, ": ", status.message()));
  }
}

}  // namespace attend
