// SPDX-License-Identifier: Apache-2.0
#include "server/config/validate.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/config/memory_plan.h"
#include "server/net/address.h"

namespace attend {

namespace {

// Other machines must not send plain text unless somebody has decided that they may.
absl::Status CheckPlainText(const ServerConfig& config) {
  if (!config.tls.cert_file.empty() || config.tls.insecure) return absl::OkStatus();
  for (const std::string& address : config.listen) {
    if (!UnixPath(address).empty() || IsLoopback(address)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("--listen=", address,
                     " takes calls of other machines, which would be plain text: give --tls-cert "
                     "and --tls-key, listen on localhost or a unix: socket, or set --insecure=on"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const ServerConfig& config) {
  if (config.listen.empty()) return absl::InvalidArgumentError("--listen: none is given");
  if (config.tls.cert_file.empty() != config.tls.key_file.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key must be given together");
  }
  if (!config.tls.client_ca_file.empty() && config.tls.cert_file.empty()) {
    return absl::InvalidArgumentError("--tls-client-ca needs --tls-cert and --tls-key");
  }
  ATTEND_RETURN_IF_ERROR(CheckPlainText(config));
  if (const absl::Status executors = CheckExecutors(config.engine); !executors.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--executors: ", executors.message()));
  }
  if (config.transport.network_threads == 1) {
    return absl::InvalidArgumentError(
        "--network-threads: must be 0 or at least 2; got 1, which one busy connection would keep "
        "to itself");
  }
  ServerConfig planned = config;
  return PlanMemory({}, planned);
}

}  // namespace attend
