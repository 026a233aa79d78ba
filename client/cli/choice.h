// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_CHOICE_H_
#define ATTEND_CLIENT_CLI_CHOICE_H_

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "attend/attention.h"

namespace attend::cli {

// Sets `target` to the choice that has the name `given`; an empty name leaves it as it is.
// INVALID_ARGUMENT, ready to be printed, for a name that is not among the choices.
template <typename T>
absl::Status Choose(absl::string_view option, absl::string_view given,
                    std::initializer_list<std::pair<absl::string_view, T>> choices, T* target) {
  if (given.empty()) return absl::OkStatus();
  std::string allowed;
  for (const auto& [name, choice] : choices) {
    if (given == name) {
      *target = choice;
      return absl::OkStatus();
    }
    absl::StrAppend(&allowed, allowed.empty() ? "" : ", ", name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", option, " must be one of ", allowed, ", got \"", given, "\""));
}

inline absl::Status ChoosePriority(absl::string_view given, client::Priority* target) {
  return Choose<client::Priority>("priority", given,
                                  {{"high", client::Priority::kHigh},
                                   {"normal", client::Priority::kNormal},
                                   {"low", client::Priority::kLow}},
                                  target);
}

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_CHOICE_H_
