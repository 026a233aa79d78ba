// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_CONFIG_ERRORS_H_
#define ATTEND_SERVER_CONFIG_CONFIG_ERRORS_H_

#include <functional>
#include <initializer_list>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace attend {

// The errors of a configuration, which are reported all at once: one line per error. Not
// thread-safe.
class ConfigErrors {
 public:
  // `line` names the flag, the variable or the line of the file, and says what is wrong with it.
  void Add(std::string line) { lines_.push_back(std::move(line)); }

  // Also remembers that `setting` has no usable value.
  void AddWrong(absl::string_view setting, std::string line);

  // Whether every one of `settings` has a usable value, so that they can be compared.
  bool AreUsable(std::initializer_list<absl::string_view> settings) const;

  // OK, or INVALID_ARGUMENT with the lines in the order in which they were added.
  absl::Status status() const;

 private:
  std::vector<std::string> lines_;
  std::set<std::string, std::less<>> wrong_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_CONFIG_ERRORS_H_
