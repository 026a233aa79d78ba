// SPDX-License-Identifier: Apache-2.0
#include "server/config/validate.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/engine/engine.h"
#include "server/config/memory_plan.h"
#include "server/net/address.h"

namespace attend {
namespace {

// Other machines must not send plain text unless somebody has decided that they may.
void CheckPlainText(const ServerConfig& config, ConfigErrors& errors) {
  if (!config.tls.cert_file.empty() || config.tls.insecure) return;
  for (const std::string& address : config.listen) {
    if (!UnixPath(address).empty() || IsLoopback(address)) continue;
    errors.Add(
        absl::StrCat("--listen=", address,
                     " takes calls of other machines, which would be plain text: give --tls-cert "
                     "and --tls-key, listen on localhost or a unix: socket, or set --insecure=on"));
  }
}

void CheckEndpoint(const ServerConfig& config, ConfigErrors& errors) {
  const std::optional<Endpoint>& collector = config.telemetry.otlp_endpoint;
  if (!collector || collector->tls || config.tls.insecure || IsLoopback(collector->address)) return;
  errors.Add(absl::StrCat("--otlp-endpoint=", FormatEndpoint(*collector),
                          " sends spans to another machine as plain text: give https://, a "
                          "collector on localhost, or set --insecure=on"));
}

bool IsUnix(const std::string& address) {
  return !UnixPath(address).empty();
}

void CheckTls(const TlsConfig& tls, ConfigErrors& errors) {
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    errors.Add("--tls-cert and --tls-key must be given together");
  }
  if (!tls.client_ca_file.empty() && tls.cert_file.empty()) {
    errors.Add("--tls-client-ca needs --tls-cert and --tls-key");
  }
  if (tls.min_version != TlsVersion::k12 && tls.cert_file.empty()) {
    errors.Add("--tls-min-version needs --tls-cert and --tls-key");
  }
}

void CheckReflection(const ServerConfig& config, ConfigErrors& errors) {
  if (!config.public_reflection) return;
  if (config.tokens_file.empty()) {
    errors.Add("--public-reflection=on needs --tokens: without it, reflection needs no token");
  }
  if (!config.reflection) errors.Add("--public-reflection=on needs --reflection=on");
}

}  // namespace

void FindContradictions(const ServerConfig& config, ConfigErrors& errors) {
  if (errors.AreUsable({"listen"}) && config.listen.empty()) {
    errors.Add("--listen: none is given");
  }
  if (errors.AreUsable({"listen", "unix-socket-mode"}) && config.unix_socket_mode &&
      std::none_of(config.listen.begin(), config.listen.end(), IsUnix)) {
    errors.Add("--unix-socket-mode needs --listen=unix:PATH");
  }
  if (errors.AreUsable({"tls-cert", "tls-key", "tls-client-ca", "tls-min-version"})) {
    CheckTls(config.tls, errors);
  }
  if (errors.AreUsable({"insecure", "tls-cert"})) CheckPlainText(config, errors);
  if (errors.AreUsable({"insecure", "otlp-endpoint"})) CheckEndpoint(config, errors);
  if (errors.AreUsable({"tokens", "public-reflection", "reflection"})) {
    CheckReflection(config, errors);
  }
  if (config.transport.network_threads == 1) {
    errors.Add(
        "--network-threads: must be 0 or at least 2; got 1, which one busy connection would keep "
        "to itself");
  }
  if (!errors.AreUsable({"workers", "executors"})) return;
  if (const absl::Status executors = CheckExecutors(config.engine); !executors.ok()) {
    return errors.Add(absl::StrCat("--executors: ", executors.message()));
  }
  if (!errors.AreUsable({"max-request-bytes", "max-receive-bytes", "max-in-flight-bytes"})) return;
  ServerConfig planned = config;
  if (const absl::Status plan = PlanMemory({}, planned); !plan.ok()) {
    errors.Add(std::string(plan.message()));
  }
}

absl::Status Validate(const ServerConfig& config) {
  ConfigErrors errors;
  FindContradictions(config, errors);
  return errors.status();
}

}  // namespace attend
