// SPDX-License-Identifier: Apache-2.0
#include "client/cli/args.h"

#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace attend::cli {
namespace {

bool ParseFloat(absl::string_view text, float* value) {
  return absl::SimpleAtof(text, value) && std::isfinite(*value);
}

template <typename T, typename ParseOne>
bool ParseList(absl::string_view text, std::vector<T>* target, ParseOne parse_one) {
  target->clear();
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    target->emplace_back();
    if (!parse_one(part, &target->back())) return false;
  }
  return true;
}

}  // namespace

Args::Args(std::string usage, std::string about)
    : usage_(std::move(usage)), about_(std::move(about)) {}

void Args::Section(std::string title) {
  entries_.push_back({"", "", std::move(title), "", {}});
}

void Args::Add(std::string name, std::string value, std::string help, std::string expected,
               Set set) {
  entries_.push_back(
      {std::move(name), std::move(value), std::move(help), std::move(expected), std::move(set)});
}

void Args::Switch(std::string name, std::string help, bool* target) {
  Add(std::move(name), "", std::move(help), "", [target](absl::string_view) {
    *target = true;
    return true;
  });
}

void Args::Option(std::string name, std::string value, std::string help, std::string* target) {
  Add(std::move(name), std::move(value), std::move(help), "text", [target](absl::string_view text) {
    *target = std::string(text);
    return !text.empty();
  });
}

void Args::Option(std::string name, std::string value, std::string help, int64_t* target) {
  Add(std::move(name), std::move(value), std::move(help), "a whole number",
      [target](absl::string_view text) { return absl::SimpleAtoi(text, target); });
}

void Args::Option(std::string name, std::string value, std::string help, double* target) {
  Add(std::move(name), std::move(value), std::move(help), "a number",
      [target](absl::string_view text) {
        return absl::SimpleAtod(text, target) && std::isfinite(*target);
      });
}

void Args::Option(std::string name, std::string value, std::string help,
                  std::optional<float>* target) {
  Add(std::move(name), std::move(value), std::move(help), "a number",
      [target](absl::string_view text) { return ParseFloat(text, &target->emplace()); });
}

void Args::Option(std::string name, std::string value, std::string help,
                  std::optional<int64_t>* target) {
  Add(std::move(name), std::move(value), std::move(help), "a whole number",
      [target](absl::string_view text) { return absl::SimpleAtoi(text, &target->emplace()); });
}

void Args::Option(std::string name, std::string value, std::string help, absl::Duration* target) {
  Add(std::move(name), std::move(value), std::move(help), "a time such as 500ms, 30s or 2m",
      [target](absl::string_view text) {
        return absl::ParseDuration(std::string(text), target) && *target >= absl::ZeroDuration() &&
               *target != absl::InfiniteDuration();
      });
}

void Args::Option(std::string name, std::string value, std::string help,
                  std::vector<std::string>* target) {
  Add(std::move(name), std::move(value), std::move(help), "a list separated by commas",
      [target](absl::string_view text) {
        return ParseList(text, target, [](absl::string_view part, std::string* one) {
          *one = std::string(part);
          return !part.empty();
        });
      });
}

void Args::Option(std::string name, std::string value, std::string help,
                  std::vector<int64_t>* target) {
  Add(std::move(name), std::move(value), std::move(help), "whole numbers separated by commas",
      [target](absl::string_view text) {
        return ParseList(text, target, [](absl::string_view part, int64_t* one) {
          return absl::SimpleAtoi(part, one);
        });
      });
}

void Args::Option(std::string name, std::string value, std::string help,
                  std::vector<float>* target) {
  Add(std::move(name), std::move(value), std::move(help), "numbers separated by commas",
      [target](absl::string_view text) { return ParseList(text, target, ParseFloat); });
}

bool Args::Given(absl::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.name == name) return entry.given;
  }
  return false;
}

absl::StatusOr<std::vector<std::string>> Args::Parse(const std::vector<std::string>& arguments) {
  std::vector<std::string> rest;
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view argument = arguments[i];
    if (argument == "--") {
      rest.insert(rest.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                  arguments.end());
      break;
    }
    if (argument == "-h" || argument == "--help") {
      help_asked_ = true;
      continue;
    }
    if (!absl::ConsumePrefix(&argument, "--")) {
      rest.push_back(arguments[i]);
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(argument, absl::MaxSplits('=', 1));
    const bool has_value = absl::StrContains(argument, '=');
    Entry* entry = nullptr;
    for (Entry& each : entries_) {
      if (!each.name.empty() && each.name == parts.first) entry = &each;
    }
    if (entry == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("there is no option --", parts.first));
    }
    if (entry->given) {
      return absl::InvalidArgumentError(absl::StrCat("--", entry->name, " is given twice"));
    }
    entry->given = true;
    absl::string_view value = parts.second;
    if (entry->value.empty()) {
      if (has_value) {
        return absl::InvalidArgumentError(absl::StrCat("--", entry->name, " takes no value"));
      }
    } else if (!has_value) {
      if (i + 1 == arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat("--", entry->name, " needs a value"));
      }
      value = arguments[++i];
    }
    if (!entry->set(value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", entry->name, " must be ", entry->expected, ", got \"", value, "\""));
    }
  }
  return rest;
}

std::string Args::Help() const {
  constexpr size_t kColumn = 30;
  std::string text = absl::StrCat("usage: ", usage_, "\n\n", about_, "\n");
  for (const Entry& entry : entries_) {
    if (entry.name.empty()) {
      absl::StrAppend(&text, "\n", entry.help, ":\n");
      continue;
    }
    std::string line = absl::StrCat("  --", entry.name);
    if (!entry.value.empty()) absl::StrAppend(&line, "=", entry.value);
    for (const absl::string_view help : absl::StrSplit(entry.help, '\n')) {
      if (line.size() + 2 > kColumn) {
        absl::StrAppend(&text, line, "\n");
        line.clear();
      }
      line.resize(kColumn, ' ');
      absl::StrAppend(&text, line, help, "\n");
      line.clear();
    }
  }
  absl::StrAppend(&text, "  --help\n");
  return text;
}

}  // namespace attend::cli
