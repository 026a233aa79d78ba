// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_COMMAND_H_
#define ATTEND_CLIENT_CLI_COMMAND_H_

// What the commands share: how they start, fail and print.

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attend/client.h"
#include "client/cli/args.h"
#include "client/cli/connection.h"
#include "client/cli/exit_code.h"

namespace attend::cli {

// Parses; nothing returned: go on, else the exit code (help was printed, or what
// is wrong).
std::optional<int> ParseOrExit(Args& args, const std::vector<std::string>& arguments,
                               std::vector<std::string>* rest, size_t max_rest);

// Prints the error of a call on standard error, with reason, field and request id
// where the server gave them, and returns the exit code for it. After a deadline
// has passed it asks the server for its health, to tell whether one is there.
int ReportCall(client::Client& client, const Connection& connection, const absl::Status& status);

// The same without asking for health.
int ReportError(const absl::Status& status);

// Prints the error of Connection::Connect and returns the exit code for it.
int ReportConnect(const absl::Status& status);

// Prints what is wrong with options, the environment or input files: kUsage.
int ReportUsage(absl::string_view message);

// Prints why an output could not be written: kNotWritten.
int ReportNotWritten(const absl::Status& status);

// Prints the message as JSON (json.h) and returns the exit code.
int PrintJson(const google::protobuf::Message& message);

// The layer asked for, or, with an empty name, the server's only one.
// INVALID_ARGUMENT that lists the names where it has several.
absl::StatusOr<v1::LayerInfo> FindLayer(client::Client& client, const std::string& name,
                                        const client::CallOptions& options);

absl::StatusOr<client::DataType> ParseDataType(absl::string_view name);

// The commands; `arguments` without the command's name. They return exit codes.
int RunLayers(const std::vector<std::string>& arguments);
int RunInfo(const std::vector<std::string>& arguments);
int RunHealth(const std::vector<std::string>& arguments);
int RunCall(const std::vector<std::string>& arguments);
int RunBench(const std::vector<std::string>& arguments);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_COMMAND_H_
