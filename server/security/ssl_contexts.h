// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_SSL_CONTEXTS_H_
#define ATTEND_SERVER_SECURITY_SSL_CONTEXTS_H_

#include "absl/status/status.h"
#include "server/config/server_config.h"

namespace attend {

// Sets up the TLS contexts that this process makes from here on: none speaks an older version than
// `min_version`, and one that refuses a peer's certificate logs why, five times per second at most.
// gRPC's interface has neither, but the contexts that it serves with are among them. A certificate
// is verified by OpenSSL's own function, to which nothing is added. INTERNAL if OpenSSL does not do
// as it is told. For the whole process, to be called before gRPC serves; thread-safe.
absl::Status SetUpSslContexts(TlsVersion min_version);

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_SSL_CONTEXTS_H_
