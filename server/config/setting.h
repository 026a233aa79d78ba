// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_SETTING_H_
#define ATTEND_SERVER_CONFIG_SETTING_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace attend {

// One setting: a flag --NAME=VALUE, an environment variable ATTEND_NAME (in upper case, _ for -)
// and a line NAME = VALUE of a configuration file. The flag wins over the variable, that over the
// file, all over the default.
struct Setting {
  absl::string_view group;
  absl::string_view name;   // as in the flag
  absl::string_view value;  // what stands for the value in help, e.g. "BYTES"
  absl::string_view help;
  bool repeatable = false;  // the variable then holds several, separated by ';'

  // Takes a value, or says what is wrong with it, without naming the setting.
  std::function<absl::Status(absl::string_view text)> set;
  // Forgets the values of a repeatable setting, its default among them.
  std::function<void()> clear;
  // The values now, as they would be given.
  std::function<std::vector<std::string>()> get;
};

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_SETTING_H_
