// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_SETTING_SOURCE_H_
#define ATTEND_SERVER_CONFIG_SETTING_SOURCE_H_

#include <set>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/config/config_errors.h"
#include "server/config/setting.h"

namespace attend {

// Where settings come from: a file, the environment or the flags. A source replaces what sources
// before it have set, all values of a repeatable setting together. Not thread-safe.
class SettingSource {
 public:
  // Both outlive the source.
  SettingSource(std::vector<Setting>& settings, ConfigErrors& errors)
      : settings_(settings), errors_(errors) {}

  // nullptr if no setting has this name.
  const Setting* Find(absl::string_view name) const;

  // Takes a value of one of the settings. `place` names the setting in errors, as in "--workers".
  // Refuses a second value of a setting that is not repeatable, and values that a configuration
  // file could not hold.
  void Set(const Setting& setting, absl::string_view place, absl::string_view value);

 private:
  std::vector<Setting>& settings_;
  ConfigErrors& errors_;
  std::set<absl::string_view> given_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_SETTING_SOURCE_H_
