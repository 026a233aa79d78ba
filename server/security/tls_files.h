// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_TLS_FILES_H_
#define ATTEND_SERVER_SECURITY_TLS_FILES_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/server_config.h"

namespace attend {

// The largest file that is read. Bundles of all public authorities take a quarter of a MiB.
inline constexpr size_t kMaxPemBytes = size_t{4} << 20;

// The texts of the files that TlsConfig names.
struct TlsFiles {
  std::string chain;
  std::string key;
  std::string client_ca;  // empty: callers need no certificate

  bool operator==(const TlsFiles& other) const {
    return chain == other.chain && key == other.key && client_ca == other.client_ca;
  }
};

// What is known of files that were checked, and may be logged.
struct TlsFacts {
  absl::Time not_before, not_after;  // of the server's certificate
  size_t chain_certificates = 0;     // the server's own among them
  size_t client_authorities = 0;
};

// Reads the files; blocks. INVALID_ARGUMENT that names the setting and the file: one cannot be read
// or is larger than kMaxPemBytes.
absl::StatusOr<TlsFiles> ReadTlsFiles(const TlsConfig& config);

// Checks at time `now` that connections can be served with the files. INVALID_ARGUMENT that names
// the setting and the file: not PEM, damaged, an encrypted key, a key of another certificate, a
// certificate of the server that has expired or does not hold yet, or keys or signatures too weak
// for this machine's OpenSSL.
absl::StatusOr<TlsFacts> CheckTlsFiles(const TlsConfig& config, const TlsFiles& files,
                                       absl::Time now);

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_TLS_FILES_H_
