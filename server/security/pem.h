// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_PEM_H_
#define ATTEND_SERVER_SECURITY_PEM_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace attend {

// Calls a function of OpenSSL that frees an object.
template <auto kFree>
struct OpenSslFree {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using X509Ptr = std::unique_ptr<X509, OpenSslFree<X509_free>>;
using PrivateKeyPtr = std::unique_ptr<EVP_PKEY, OpenSslFree<EVP_PKEY_free>>;

// Texts in PEM, parsed as gRPC parses them, except that nothing wrong is passed over. Errors are
// INVALID_ARGUMENT; they go on from "the file", as in "holds no certificate ...", and quote nothing
// of the text. Thread-safe.

// Returns all certificates of the text, at least one, in its order.
absl::StatusOr<std::vector<X509Ptr>> ParseCertificates(const std::string& pem);

// Returns the first private key of the text. An encrypted key is an error: there is nobody to ask
// for its passphrase.
absl::StatusOr<PrivateKeyPtr> ParsePrivateKey(const std::string& pem);

// The times between which a certificate holds. INVALID_ARGUMENT if it states them wrongly.
struct Validity {
  absl::Time not_before, not_after;
};
absl::StatusOr<Validity> GetValidity(const X509& certificate);

// "2024-02-29T01:02:03Z"
std::string FormatUtc(absl::Time time);

// Why OpenSSL's last call on this thread failed, in its words. Forgets it.
std::string TakeOpenSslReason();

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_PEM_H_
