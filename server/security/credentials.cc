// SPDX-License-Identifier: Apache-2.0
#include "server/security/credentials.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "server/security/pem.h"
#include "server/security/tls_files.h"
#include "server/telemetry/log.h"

namespace attend {

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsConfig& config) {
  if (config.cert_file.empty()) return grpc::InsecureServerCredentials();
  ATTEND_ASSIGN_OR_RETURN(TlsFiles files, ReadTlsFiles(config));
  ATTEND_ASSIGN_OR_RETURN(const TlsFacts facts, CheckTlsFiles(config, files, absl::Now()));
  Log(LogLevel::kInfo, "read certificates",
      {{"not_after", FormatUtc(facts.not_after)},
       {"chain", absl::StrCat(facts.chain_certificates)},
       {"client_authorities", absl::StrCat(facts.client_authorities)}});
  grpc::SslServerCredentialsOptions options(
      config.client_ca_file.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                    : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_key_cert_pairs.push_back({std::move(files.key), std::move(files.chain)});
  options.pem_root_certs = std::move(files.client_ca);
  return grpc::SslServerCredentials(options);
}

}  // namespace attend
