// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/terminal.h"

namespace {

constexpr char kHelp[] =
    R"(usage: attend COMMAND [OPTIONS]

Calls an attend server: attention as a service.

  attend layers    the layers that the server holds
  attend call      one call, on arrays from files
  attend bench     load, with latencies and throughput
  attend health    whether the server serves
  attend info      the server's version and limits

attend COMMAND --help tells the options. The server is given with --server or
the environment's ATTEND_SERVER; default localhost:50051.

Exit codes: 0 done; 1 the server refused, or is not serving; 2 wrong options or
files; 3 the server did not answer (UNAVAILABLE or DEADLINE_EXCEEDED).
)";

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) {
    attend::cli::WriteText(stderr, kHelp);
    return attend::cli::kUsage;
  }
  const std::string& command = arguments[0];
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (command == "layers") return attend::cli::RunLayers(rest);
  if (command == "call") return attend::cli::RunCall(rest);
  if (command == "bench") return attend::cli::RunBench(rest);
  if (command == "health") return attend::cli::RunHealth(rest);
  if (command == "info") return attend::cli::RunInfo(rest);
  if (command == "--version" || command == "version") {
    attend::cli::WriteText(stdout, "attend " ATTEND_VERSION "\n");
    return attend::cli::kOk;
  }
  if (command == "--help" || command == "-h" || command == "help") {
    attend::cli::WriteText(stdout, kHelp);
    return attend::cli::kOk;
  }
  return attend::cli::ReportUsage(
      absl::StrCat("there is no command \"", command, "\"; see attend --help"));
}
