// SPDX-License-Identifier: Apache-2.0
#include "client/cli/command.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/json.h"
#include "client/cli/terminal.h"

namespace attend::cli {
namespace {

absl::Status ReadFileIfGiven(const std::string& path, std::string* text) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path);
  if (!file) return absl::ErrnoToStatus(errno, path);
  std::ostringstream stream;
  stream << file.rdbuf();
  *text = stream.str();
  return absl::OkStatus();
}

}  // namespace

void Connection::AddTo(Args& args) {
  args.Section("Server");
  args.Option("server", "TARGET,...",
              "host:port, unix:/path, or any target of gRPC; several share\n"
              "the calls. Default: $ATTEND_SERVER, else localhost:50051",
              &servers);
  args.Option("timeout", "TIME", "of each call, retries included; default 30s", &timeout);
  args.Option("max-attempts", "N", "tries of each call while the server is busy or away",
              &max_attempts);
  args.Switch("tls", "use TLS", &tls);
  args.Option("tls-ca", "FILE", "root certificates (PEM); default: the system's", &tls_ca);
  args.Option("tls-cert", "FILE", "own certificate (PEM)", &tls_cert);
  args.Option("tls-key", "FILE", "and its private key", &tls_key);
  args.Option("tls-server-name", "NAME", "name that the server's certificate holds",
              &tls_server_name);
}

absl::StatusOr<std::unique_ptr<client::Client>> Connection::Connect() const {
  client::ClientOptions options;
  options.targets = servers;
  if (options.targets.empty()) {
    const char* from_environment = std::getenv("ATTEND_SERVER");
    options.targets =
        absl::StrSplit(from_environment != nullptr && *from_environment != 0 ? from_environment
                                                                             : "localhost:50051",
                       ',');
  }
  if (max_attempts < 1 || max_attempts > 1000) {
    return absl::InvalidArgumentError(
        absl::StrCat("--max-attempts must be 1 to 1000, got ", max_attempts));
  }
  if (channels < 1 || channels > 1024) {
    return absl::InvalidArgumentError(absl::StrCat("--channels must be 1 to 1024, got ", channels));
  }
  options.retry.max_attempts = static_cast<int>(max_attempts);
  // A budget that holds all attempts of one call, which is what the user asked
  // for; and no throttling, because a command reports what the server does.
  options.retry.max_tokens = std::max(options.retry.max_tokens, 2.0 * options.retry.max_attempts);
  options.throttling.reset();
  options.channels = static_cast<int>(channels);
  if (tls) {
    client::TlsOptions& with = options.tls.emplace();
    if (absl::Status s = ReadFileIfGiven(tls_ca, &with.root_certificates_pem); !s.ok()) return s;
    if (absl::Status s = ReadFileIfGiven(tls_cert, &with.certificate_pem); !s.ok()) return s;
    if (absl::Status s = ReadFileIfGiven(tls_key, &with.private_key_pem); !s.ok()) return s;
    with.server_name = tls_server_name;
  } else if (!tls_ca.empty() || !tls_cert.empty() || !tls_key.empty() || !tls_server_name.empty()) {
    return absl::InvalidArgumentError("--tls-... needs --tls");
  }
  return client::Client::Create(options);
}

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

int ReportCall(const absl::Status& status) {
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
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) return kUnreachable;
  // Found before sending: what the user gave.
  if (details.attempts == 0) return kUsage;
  return kFailed;
}

int PrintJson(const google::protobuf::Message& message) {
  const absl::StatusOr<nlohmann::ordered_json> json = ToJson(message);
  if (!json.ok()) return ReportCall(json.status());
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

std::string FormatLatency(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const auto [value, unit] = seconds < 1e-3 ? std::pair(seconds * 1e6, "us")
                             : seconds < 1  ? std::pair(seconds * 1e3, "ms")
                                            : std::pair(seconds, "s");
  const int digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return absl::StrFormat("%.*f %s", digits, value, unit);
}

}  // namespace attend::cli
