// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CLIENT_CLI_COMMAND_RUNNER_H_
#define ATTEND_TESTS_CLIENT_CLI_COMMAND_RUNNER_H_

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

namespace attend::cli {

using Command = int (*)(const std::vector<std::string>& arguments);

// What a command returned and wrote.
struct Ran {
  int exit;
  std::string out;
  std::string err;
};

inline Ran RunCommand(Command command, const std::vector<std::string>& arguments) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran ran;
  ran.exit = command(arguments);
  fflush(stdout);
  ran.out = testing::internal::GetCapturedStdout();
  ran.err = testing::internal::GetCapturedStderr();
  return ran;
}

}  // namespace attend::cli

#endif  // ATTEND_TESTS_CLIENT_CLI_COMMAND_RUNNER_H_
