// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_ARGS_H_
#define ATTEND_CLIENT_CLI_ARGS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace attend::cli {

// The options of one command. Own parser, not absl flags: those are global to
// the program, and a command must refuse the options of the others.
//
// "--name=value" and "--name value"; a switch is "--name". With a letter also "-n value",
// "-nvalue" and "-n". Each at most once, unless it is repeated. "-" alone is no option, and "--"
// ends the options. Errors are INVALID_ARGUMENT, ready to be printed.
class Args {
 public:
  // `usage` is printed after "usage: ", `about` below it.
  Args(std::string usage, std::string about);

  // Starts a group in the help.
  void Section(std::string title);

  // The targets must outlive Parse, which sets those that are given.
  void Switch(std::string name, std::string help, bool* target);
  void Option(std::string name, std::string value, std::string help, std::string* target);
  void Option(std::string name, std::string value, std::string help, int64_t* target);
  void Option(std::string name, std::string value, std::string help, double* target);
  void Option(std::string name, std::string value, std::string help, std::optional<float>* target);
  void Option(std::string name, std::string value, std::string help,
              std::optional<int64_t>* target);
  void Option(std::string name, std::string value, std::string help, absl::Duration* target);
  // Lists: separated by commas.
  void Option(std::string name, std::string value, std::string help,
              std::vector<std::string>* target);
  void Option(std::string name, std::string value, std::string help, std::vector<int64_t>* target);
  void Option(std::string name, std::string value, std::string help, std::vector<float>* target);

  // May be given any number of times; each time adds one text.
  void RepeatedOption(std::string name, std::string value, std::string help,
                      std::vector<std::string>* target);

  // Gives the option or switch that was added last a letter, too.
  void Letter(char letter);

  // Whether to print Help() instead of anything else.
  bool help_asked() const { return help_asked_; }

  bool Given(absl::string_view name) const;

  // The arguments that are no options, in order.
  absl::StatusOr<std::vector<std::string>> Parse(const std::vector<std::string>& arguments);

  std::string Help() const;

 private:
  using Set = std::function<bool(absl::string_view)>;
  struct Entry {
    std::string name;   // empty: a section
    std::string value;  // empty: a switch
    std::string help;
    std::string expected;
    Set set;
    bool given = false;
    char letter = 0;  // 0: none
    bool repeated = false;
  };

  // How errors name the option that stands at the beginning of `argument`, and its value there.
  struct Found {
    Entry* entry = nullptr;  // none: there is no such option
    std::string name;
    std::optional<absl::string_view> value;
  };
  Found Find(absl::string_view argument);

  void Add(std::string name, std::string value, std::string help, std::string expected, Set set);

  const std::string usage_;
  const std::string about_;
  std::vector<Entry> entries_;
  bool help_asked_ = false;
};

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_ARGS_H_
