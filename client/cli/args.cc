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

// The help of one option, which begins with `line`, wrapped to the width of a terminal.
void AppendHelp(std::string line, absl::string_view help, std::string* text) {
  constexpr size_t kColumn = 30;
  constexpr size_t kWidth = 80;
  if (line.size() + 2 > kColumn) {
    absl::StrAppend(text, line, "\n");
    line.clear();
  }
  line.resize(kColumn, ' ');
  for (const absl::string_view word : absl::StrSplit(help, ' ')) {
    if (line.size() > kColumn && line.size() + 1 + word.size() > kWidth) {
      absl::StrAppend(text, line, "\n");
      line.assign(kColumn, ' ');
    }
    absl::StrAppend(&line, line.size() > kColumn ? " " : "", word);
  }
  absl::StrAppend(text, line, "\n");
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

void Args::RepeatedOption(std::string name, std::string value, std::string help,
                          std::vector<std::string>* target) {
  Add(std::move(name), std::move(value), std::move(help), "text", [target](absl::string_view text) {
    target->emplace_back(text);
    return !text.empty();
  });
  entries_.back().repeated = true;
}

void Args::Letter(char letter) {
  entries_.back().letter = letter;
}

Args::Found Args::Find(absl::string_view argument) {
  Found found;
  if (absl::ConsumePrefix(&argument, "--")) {
    const size_t equals = argument.find('=');
    found.name = absl::StrCat("--", argument.substr(0, equals));
    if (equals != absl::string_view::npos) found.value = argument.substr(equals + 1);
    for (Entry& each : entries_) {
      if (!each.name.empty() && absl::StrCat("--", each.name) == found.name) found.entry = &each;
    }
    return found;
  }
  found.name = std::string(argument.substr(0, 2));
  if (argument.size() > 2) found.value = argument.substr(2);
  for (Entry& each : entries_) {
    if (each.letter != 0 && each.letter == argument[1]) found.entry = &each;
  }
  return found;
}

absl::StatusOr<std::vector<std::string>> Args::Parse(const std::vector<std::string>& arguments) {
  std::vector<std::string> rest;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const absl::string_view argument = arguments[i];
    if (argument == "--") {
      rest.insert(rest.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                  arguments.end());
      break;
    }
    if (argument == "-h" || argument == "--help") {
      help_asked_ = true;
      continue;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      rest.push_back(arguments[i]);
      continue;
    }
    auto [entry, name, value] = Find(argument);
    if (entry == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("there is no option ", name));
    }
    if (entry->given && !entry->repeated) {
      return absl::InvalidArgumentError(absl::StrCat("--", entry->name, " is given twice"));
    }
    entry->given = true;
    if (entry->value.empty()) {
      if (value.has_value()) {
        return absl::InvalidArgumentError(absl::StrCat(name, " takes no value"));
      }
    } else if (!value.has_value()) {
      if (i + 1 == arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat(name, " needs a value"));
      }
      value = arguments[++i];
    }
    if (!entry->set(value.value_or(""))) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " must be ", entry->expected, ", got \"", *value, "\""));
    }
  }
  return rest;
}

std::string Args::Help() const {
  std::string text = absl::StrCat("usage: ", usage_, "\n\n", about_, "\n");
  for (const Entry& entry : entries_) {
    if (entry.name.empty()) {
      absl::StrAppend(&text, "\n", entry.help, ":\n");
      continue;
    }
    std::string line = "  ";
    if (entry.letter != 0) absl::StrAppend(&line, std::string{'-', entry.letter}, ", ");
    absl::StrAppend(&line, "--", entry.name);
    if (!entry.value.empty()) absl::StrAppend(&line, "=", entry.value);
    AppendHelp(std::move(line), entry.help, &text);
  }
  AppendHelp("  -h, --help", "Print this text.", &text);
  return text;
}

}  // namespace attend::cli
