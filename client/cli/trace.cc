// SPDX-License-Identifier: Apache-2.0
#include "client/cli/trace.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "client/cli/latency.h"
#include "client/cli/terminal.h"

namespace attend::cli {

void TraceConnection(const std::string& servers, bool tls, const client::Metadata& metadata) {
  std::string text;
  AppendText(&text, "* server %s, %s\n", servers, tls ? "TLS" : "plain text");
  for (const auto& [name, value] : metadata) AppendText(&text, "* sends metadata %s\n", name);
  WriteText(stderr, text);
}

void TraceAttempt(const client::AttemptInfo& info) {
  std::string text;
  AppendText(&text, "* %s, attempt %d, at %s\n", info.method, info.attempt, info.peer);
  AppendText(&text, "*   sent %d bytes, received %d bytes: %s", info.request_bytes,
             info.response_bytes, absl::StatusCodeToString(info.status.code()));
  if (!info.status.ok()) AppendText(&text, ": %s", info.status.message());
  text += '\n';
  for (const auto& [name, value] : info.trailers) {
    AppendText(&text, "*   trailer %s: %s\n", name,
               absl::EndsWith(name, "-bin") ? absl::Base64Escape(value) : value);
  }
  if (info.retry_after.has_value()) {
    AppendText(&text, "*   tries again after %s\n", FormatLatency(*info.retry_after));
  }
  WriteText(stderr, text);
}

}  // namespace attend::cli
