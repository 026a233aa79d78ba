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

  attend layers    List the layers that the server holds.
  attend call      Compute attention once, on arrays from files.
  attend bench     Measure latency and throughput under load.
  attend health    Tell whether the server serves.
  attend info      Print the server's version and limits.

attend COMMAND --help shows its options. --server, or ATTEND_SERVER in the
environment, names the server; the default is localhost:50051.

)";

void PrintHelp(std::FILE* stream) {
  attend::cli::WriteText(stream, kHelp);
  attend::cli::WriteText(stream, attend::cli::kExitCodeHelp);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) {
    PrintHelp(stderr);
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
    PrintHelp(stdout);
    return attend::cli::kOk;
  }
  return attend::cli::ReportUsage(
      absl::StrCat("there is no command \"", command, "\"; see attend --help"));
}
