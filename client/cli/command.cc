// SPDX-License-Identifier: Apache-2.0
#include "client/cli/command.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/json.h"
#include "client/cli/latency.h"
#include "client/cli/terminal.h"

namespace attend::cli {
namespace {

// Long enough for a busy server, short enough for a user who has waited already.
constexpr absl::Duration kProbeTimeout = absl::Seconds(2);

// Whether a server is there, after a call of it has missed its deadline. The client notices the end
// of the deadline by itself, so most often the status does not tell.
bool ServerAnswers(client::Client& client, const Connection& connection,
                   const absl::Status& status) {
  if (!client::GetErrorDetails(status).domain.empty()) return true;  // the server's own error
  client::CallOptions options = connection.call_options();
  options.timeout = kProbeTimeout;
  const absl::Status probe = client.CheckHealth("", options).status();
  return !absl::IsUnavailable(probe) && !absl::IsDeadlineExceeded(probe);
}

void PrintError(const absl::Status& status) {
  const client::ErrorDetails details = client::GetErrorDetails(status);
  std::string text;
  AppendText(&text, "attend: %s: %s\n", absl::StatusCodeToString(status.code()), status.message());
  if (!details.reason.empty()) {
    AppendText(&text, "  reason %s", details.reason);
    if (!details.field.empty()) AppendText(&text, ", field %s", details.field);
    text += '\n';
  }
  if (details.pushback.has_value()) {
    AppendText(&text, "  the server asks to wait %s\n", FormatLatency(*details.pushback));
  }
  if (!details.request_id.empty()) AppendText(&text, "  request id %s\n", details.request_id);
  if (details.attempts > 1) AppendText(&text, "  after %d attempts\n", details.attempts);
  WriteText(stderr, text);
}

}  // namespace

std::optional<int> ParseOrExit(Args& args, const std::vector<std::string>& arguments,
                               std::vector<std::string>* rest, size_t max_rest) {
  absl::StatusOr<std::vector<std::string>> parsed = args.Parse(arguments);
  if (args.help_asked()) {
    WriteText(stdout, args.Help());
    return kOk;
  }
  if (!parsed.ok()) return ReportUsage(parsed.status().message());
  if (parsed->size() > max_rest) {
    return ReportUsage(absl::StrCat("\"", parsed->back(), "\" is not expected here; see --help"));
  }
  if (rest != nullptr) *rest = *std::move(parsed);
  return std::nullopt;
}

int ReportUsage(absl::string_view message) {
  Print(stderr, "attend: %s\n", message);
  return kUsage;
}

int ReportCall(client::Client& client, const Connection& connection, const absl::Status& status) {
  if (!absl::IsDeadlineExceeded(status)) return ReportError(status);
  PrintError(status);
  const bool answers = ServerAnswers(client, connection, status);
  Print(stderr, "  %s\n",
        answers ? "the server answers; allow more time with --timeout"
                : "the server does not answer to a health check, either");
  return ExitCodeFor(status, answers);
}

int ReportError(const absl::Status& status) {
  PrintError(status);
  return ExitCodeFor(status, /*server_answers=*/false);
}

int ReportConnect(const absl::Status& status) {
  ReportUsage(status.message());
  return absl::IsUnavailable(status) ? kNoAnswer : kUsage;
}

int ReportNotWritten(const absl::Status& status) {
  Print(stderr, "attend: the call worked, but its result could not be written: %s\n",
        status.message());
  return kNotWritten;
}

int PrintJson(const google::protobuf::Message& message) {
  const absl::StatusOr<nlohmann::ordered_json> json = ToJson(message);
  if (!json.ok()) return ReportError(json.status());
  WriteText(stdout, FormatJson(*json));
  return kOk;
}

absl::StatusOr<v1::LayerInfo> FindLayer(client::Client& client, const std::string& name,
                                        const client::CallOptions& options) {
  if (!name.empty()) return client.GetLayer(name, options);
  absl::StatusOr<std::vector<v1::LayerInfo>> layers = client.ListLayers(options);
  if (!layers.ok()) return layers.status();
  if (layers->size() == 1) return layers->front();
  if (layers->empty()) return absl::InvalidArgumentError("the server holds no layer");
  return absl::InvalidArgumentError(
      absl::StrCat("choose with --layer one of: ",
                   absl::StrJoin(*layers, ", ", [](std::string* out, const v1::LayerInfo& layer) {
                     out->append(layer.name());
                   })));
}

absl::StatusOr<client::DataType> ParseDataType(absl::string_view name) {
  for (const client::DataType type :
       {client::DataType::kFloat32, client::DataType::kBFloat16, client::DataType::kFloat16}) {
    if (name == Name(type)) return type;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--dtype must be float32, bfloat16 or float16, got \"", name, "\""));
}

}  // namespace attend::cli
