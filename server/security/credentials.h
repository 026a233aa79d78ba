// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_CREDENTIALS_H_
#define ATTEND_SERVER_SECURITY_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "server/security/certificates.h"

namespace attend {

// What TCP addresses are served with: plain text for nullptr, otherwise TLS 1.2 or newer. Each new
// connection is served with the certificates in service when it comes; where there are client
// authorities, callers must show a certificate that one of them signed. Whether there are any must
// not change. `certificates` outlive the server.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const Certificates* certificates);

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_CREDENTIALS_H_
