// SPDX-License-Identifier: Apache-2.0
#include "client/cli/connection.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "client/cli/files.h"
#include "client/cli/metadata.h"
#include "client/cli/trace.h"

namespace attend::cli {
namespace {

constexpr char kDefaultServer[] = "localhost:50051";

// Empty where the variable is not set.
std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The option's value, else that of the environment.
std::string Choose(const std::string& option, const char* variable) {
  return option.empty() ? Environment(variable) : option;
}

absl::Status ReadIfGiven(const std::string& path, std::string* text) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> read = ReadWholeFile(path);
  if (!read.ok()) return read.status();
  *text = *std::move(read);
  return absl::OkStatus();
}

}  // namespace

void Connection::AddTo(Args& args) {
  args.Section("Server (options come before the environment)");
  args.Option("server", "TARGET,...",
              "Call this server: host:port, unix:/path, or any target of gRPC. Several "
              "share the calls. Environment: ATTEND_SERVER. Default: localhost:50051.",
              &servers);
  args.Option("timeout", "TIME",
              absl::StrCat("Allow each call this long, its retries included. Default: ",
                           absl::FormatDuration(timeout), "."),
              &timeout);
  args.Option("max-attempts", "N",
              absl::StrCat("Make at most N attempts per call when the server is busy or "
                           "unreachable. Default: ",
                           max_attempts, "."),
              &max_attempts);
  args.RepeatedOption("header", "NAME:VALUE",
                      "Send this metadata with every call; may be given several times. The "
                      "value of a name that ends in -bin is base64.",
                      &headers);
  args.Letter('H');
  args.Option("token-file", "FILE",
              "Send the bearer token in this file with every call, in plain text where the "
              "connection is. Environment: ATTEND_TOKEN_FILE.",
              &token_file);
  args.Switch("verbose",
              "Report on standard error what is sent and received: address, attempts, "
              "bytes and trailers. Values of -H and the token are not shown.",
              &verbose);
  args.Letter('v');
  args.Switch("tls", "Use TLS. Environment: ATTEND_TLS, which is on or off.", &tls);
  args.Switch("plaintext", "Use plain text, the default, even if ATTEND_TLS is on.", &plaintext);
  args.Option("tls-ca", "FILE",
              "Trust these root certificates (PEM). Environment: ATTEND_TLS_CA. Default: "
              "those of the system.",
              &tls_ca);
  args.Option("tls-cert", "FILE",
              "Show this certificate (PEM) to the server. Environment: "
              "ATTEND_TLS_CLIENT_CERT.",
              &tls_cert);
  args.Option("tls-key", "FILE",
              "Private key (PEM) of --tls-cert. Environment: ATTEND_TLS_CLIENT_KEY.", &tls_key);
  args.Option("tls-server-name", "NAME",
              "Expect this name in the server's certificate. Environment: "
              "ATTEND_TLS_SERVER_NAME. Default: the host of --server.",
              &tls_server_name);
}

std::vector<NamedFile> Connection::InputFiles() const {
  return {{"--token-file", token_file},
          {"--tls-ca", tls_ca},
          {"--tls-cert", tls_cert},
          {"--tls-key", tls_key}};
}

absl::Status Connection::ReadToken() {
  const std::string path = Choose(token_file, "ATTEND_TOKEN_FILE");
  if (path.empty()) return absl::OkStatus();
  for (const auto& [name, value] : metadata_) {
    if (name == "authorization") {
      return absl::InvalidArgumentError(
          "a token file and a header authorization exclude each other");
    }
  }
  std::string text;
  if (absl::Status s = ReadIfGiven(path, &text); !s.ok()) return s;
  const absl::string_view token = absl::StripAsciiWhitespace(text);
  if (token.empty() || !std::all_of(token.begin(), token.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " must hold one token of printable characters, and white space around it at most"));
  }
  metadata_.emplace_back("authorization", absl::StrCat("Bearer ", token));
  return absl::OkStatus();
}

absl::StatusOr<bool> Connection::UsesTls() const {
  if (tls && plaintext) {
    return absl::InvalidArgumentError("--tls and --plaintext exclude each other");
  }
  if (tls || plaintext) return tls;
  const std::string value = Environment("ATTEND_TLS");
  if (value == "on") return true;
  if (value.empty() || value == "off") return false;
  return absl::InvalidArgumentError(
      absl::StrCat("ATTEND_TLS must be on or off, got \"", value, "\""));
}

absl::Status Connection::ReadTls(client::ClientOptions* options) const {
  const absl::StatusOr<bool> uses_tls = UsesTls();
  if (!uses_tls.ok()) return uses_tls.status();
  if (!*uses_tls) {
    for (const NamedFile& each :
         {NamedFile{"--tls-ca", tls_ca}, NamedFile{"--tls-cert", tls_cert},
          NamedFile{"--tls-key", tls_key}, NamedFile{"--tls-server-name", tls_server_name}}) {
      if (!each.file.empty()) {
        return absl::InvalidArgumentError(absl::StrCat(each.option, " needs --tls"));
      }
    }
    return absl::OkStatus();
  }
  client::TlsOptions& to = options->tls.emplace();
  absl::Status status = ReadIfGiven(Choose(tls_ca, "ATTEND_TLS_CA"), &to.root_certificates_pem);
  if (status.ok()) {
    status = ReadIfGiven(Choose(tls_cert, "ATTEND_TLS_CLIENT_CERT"), &to.certificate_pem);
  }
  if (status.ok()) {
    status = ReadIfGiven(Choose(tls_key, "ATTEND_TLS_CLIENT_KEY"), &to.private_key_pem);
  }
  if (status.ok() && to.certificate_pem.empty() != to.private_key_pem.empty()) {
    status = absl::InvalidArgumentError("--tls-cert and --tls-key need each other");
  }
  to.server_name = Choose(tls_server_name, "ATTEND_TLS_SERVER_NAME");
  return status;
}

absl::StatusOr<std::unique_ptr<client::Client>> Connection::Connect() {
  client::ClientOptions options;
  options.targets = servers;
  if (options.targets.empty()) {
    const std::string server = Environment("ATTEND_SERVER");
    options.targets = absl::StrSplit(server.empty() ? kDefaultServer : server, ',');
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
  if (absl::Status s = CheckStandardInput(InputFiles()); !s.ok()) return s;
  if (absl::Status s = ReadTls(&options); !s.ok()) return s;
  if (absl::Status s = ParseHeaders(headers, &metadata_, &request_id_); !s.ok()) return s;
  if (absl::Status s = ReadToken(); !s.ok()) return s;
  if (verbose) {
    TraceConnection(absl::StrJoin(options.targets, ","), options.tls.has_value(), metadata_);
  }
  return client::Client::Create(options);
}

client::CallOptions Connection::call_options() const {
  client::CallOptions options = {
      .timeout = timeout, .metadata = metadata_, .request_id = request_id_};
  if (verbose) options.on_attempt = TraceAttempt;
  return options;
}

}  // namespace attend::cli
