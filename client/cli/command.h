// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_COMMAND_H_
#define ATTEND_CLIENT_CLI_COMMAND_H_

// What the commands share: exit codes, the connection, ways to fail.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attend/client.h"
#include "client/cli/args.h"

namespace attend::cli {

enum ExitCode {
  kOk = 0,
  kFailed = 1,       // the server refused the call, or is not serving (health)
  kUsage = 2,        // wrong options or files
  kUnreachable = 3,  // no answer: UNAVAILABLE or DEADLINE_EXCEEDED
};

// The options that lead to a server.
struct Connection {
  std::vector<std::string> servers;
  bool tls = false;
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_server_name;
  absl::Duration timeout = client::kDefaultTimeout;
  int64_t max_attempts = 5;
  int64_t channels = 1;

  void AddTo(Args& args);

  // INVALID_ARGUMENT and file errors are the user's; see ReportUsage.
  absl::StatusOr<std::unique_ptr<client::Client>> Connect() const;

  client::CallOptions call_options() const { return {.timeout = timeout}; }
};

// Parses; nothing returned: go on, else the exit code (help was printed, or what
// is wrong).
std::optional<int> ParseOrExit(Args& args, const std::vector<std::string>& arguments,
                               std::vector<std::string>* rest, size_t max_rest);

// Prints the error on stderr, with reason, field and request id where the server
// gave them, and returns the exit code for it.
int ReportCall(const absl::Status& status);

// The same for what the user gave: kUsage.
int ReportUsage(absl::string_view message);

// Prints the message as JSON (client/cli/json.h), and returns the exit code.
int PrintJson(const google::protobuf::Message& message);

// The layer asked for, or, with an empty name, the server's only one.
// INVALID_ARGUMENT that lists the names where it has several.
absl::StatusOr<v1::LayerInfo> FindLayer(client::Client& client, const std::string& name,
                                        const client::CallOptions& options);

absl::StatusOr<client::DataType> ParseDataType(absl::string_view name);

// "1.23 ms": three significant digits and a unit that suits.
std::string FormatLatency(absl::Duration duration);

// The commands; `arguments` without the command's name. They return exit codes.
int RunLayers(const std::vector<std::string>& arguments);
int RunInfo(const std::vector<std::string>& arguments);
int RunHealth(const std::vector<std::string>& arguments);
int RunCall(const std::vector<std::string>& arguments);
int RunBench(const std::vector<std::string>& arguments);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_COMMAND_H_
