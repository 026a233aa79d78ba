// SPDX-License-Identifier: Apache-2.0

// The files of a certificate, of its key and of the clients' authorities: one text that is all
// three. What is taken must serve: OpenSSL's own loaders of files, which the checks do not use,
// must take it as well, since gRPC would only fail later. Like gRPC, they look at nothing but
// certificates and the first key; other blocks, such as a revocation list, may be broken.

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "server/security/pem.h"
#include "server/security/tls_files.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/fuzz/targets/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using attend::Require;
  // The certificates of the corpus hold then.
  static const absl::Time now = absl::FromCivil(absl::CivilSecond(2030, 1, 1), absl::UTCTimeZone());
  const attend::MemoryFile file(absl::string_view(reinterpret_cast<const char*>(data), size));
  attend::TlsConfig config;
  config.cert_file = config.key_file = config.client_ca_file = file.path();
  const auto files = attend::ReadTlsFiles(config);
  if (!files.ok()) return 0;
  const auto facts = attend::CheckTlsFiles(config, *files, now);
  if (!facts.ok()) {
    Require(absl::StartsWith(facts.status().message(), "--tls-"), "errors name the setting");
    return 0;
  }
  Require(facts->chain_certificates > 0 && facts->client_authorities > 0, "counts are right");
  Require(facts->not_before <= now && now <= facts->not_after, "the certificate holds");
  const std::unique_ptr<SSL_CTX, attend::OpenSslFree<SSL_CTX_free>> context(
      SSL_CTX_new(TLS_server_method()));
  const std::unique_ptr<X509_STORE, attend::OpenSslFree<X509_STORE_free>> store(X509_STORE_new());
  X509_LOOKUP* const authorities = X509_STORE_add_lookup(store.get(), X509_LOOKUP_file());
  const char* path = config.cert_file.c_str();
  Require(SSL_CTX_use_certificate_chain_file(context.get(), path) == 1 &&
              SSL_CTX_use_PrivateKey_file(context.get(), path, SSL_FILETYPE_PEM) == 1 &&
              SSL_CTX_check_private_key(context.get()) == 1 &&
              X509_load_cert_file(authorities, path, X509_FILETYPE_PEM) ==
                  static_cast<int>(facts->client_authorities),
          "OpenSSL takes what is taken", attend::TakeOpenSslReason());
  return 0;
}
