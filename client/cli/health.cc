// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/terminal.h"

namespace attend::cli {

int RunHealth(const std::vector<std::string>& arguments) {
  Connection connection;
  connection.timeout = absl::Seconds(5);
  std::vector<std::string> rest;
  Args args("attend health [SERVICE] [OPTIONS]",
            "Asks for the health of the server, or of one of its services, such as\n"
            "attend.v1.AttentionService. Exit code 0 means SERVING, 1 any other health.");
  connection.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, &rest, 1)) return *exit;
  const auto client = connection.Connect();
  if (!client.ok()) return ReportConnect(client.status());
  const auto health =
      (*client)->CheckHealth(rest.empty() ? "" : rest[0], connection.call_options());
  if (!health.ok()) return ReportError(health.status());
  switch (*health) {
    case client::HealthStatus::kServing:
      WriteText(stdout, "SERVING\n");
      return kOk;
    case client::HealthStatus::kNotServing:
      WriteText(stdout, "NOT_SERVING\n");
      return kFailed;
    case client::HealthStatus::kServiceUnknown:
      WriteText(stdout, "SERVICE_UNKNOWN\n");
      return kFailed;
    case client::HealthStatus::kUnknown:
      break;
  }
  WriteText(stdout, "UNKNOWN\n");
  return kFailed;
}

}  // namespace attend::cli
