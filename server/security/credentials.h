// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_CREDENTIALS_H_
#define ATTEND_SERVER_SECURITY_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "absl/status/statusor.h"
#include "server/config/server_config.h"

namespace attend {

// What TCP addresses are served with: TLS 1.2 or newer where a certificate is
// configured, plain text otherwise. Reads and checks the files, once, and logs
// until when the certificate holds. The errors are those of ReadTlsFiles and
// CheckTlsFiles.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsConfig& config);

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_CREDENTIALS_H_
