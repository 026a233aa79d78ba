// SPDX-License-Identifier: Apache-2.0
#include "server/security/ssl_contexts.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "server/security/pem.h"
#include "server/telemetry/log.h"
#include "server/telemetry/log_limit.h"

namespace attend {
namespace {

std::atomic<bool> without_tls12{false};

void LogRefusal(int error) {
  static auto* const limit = new LogLimit(/*per_second=*/5, Clock::Steady());  // as in grpc_log.cc
  const std::optional<int64_t> left_out = limit->Admit();
  if (!left_out) return;
  Log(LogLevel::kWarning, "certificate of a caller refused",
      {{"cause", X509_verify_cert_error_string(error)},
       {"lines_left_out", absl::StrCat(*left_out)}});
}

// What OpenSSL does where a context has no such function, and the line in the log. An error of the
// verification itself, below 0, is a refusal, as there.
int Verify(X509_STORE_CTX* verification, void* /*argument*/) {
  if (X509_verify_cert(verification) == 1) return 1;
  LogRefusal(X509_STORE_CTX_get_error(verification));
  return 0;
}

// OpenSSL calls this for each new context, as for each index of application data.
void SetUp(void* context, void* /*data*/, CRYPTO_EX_DATA* /*all_data*/, int /*index*/,
           long /*number*/, void* /*argument*/) {
  auto* const ssl = static_cast<SSL_CTX*>(context);
  SSL_CTX_set_cert_verify_callback(ssl, Verify, nullptr);
  // gRPC sets the least version itself, to 1.2, but takes no option away.
  if (without_tls12) SSL_CTX_set_options(ssl, SSL_OP_NO_TLSv1_2);
}

}  // namespace

absl::Status SetUpSslContexts(TlsVersion min_version) {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, SetUp, nullptr, nullptr);
  without_tls12 = min_version == TlsVersion::k13;
  const std::unique_ptr<SSL_CTX, OpenSslFree<SSL_CTX_free>> context(
      SSL_CTX_new(TLS_server_method()));
  if (index < 0 || context == nullptr) return absl::InternalError(TakeOpenSslReason());
  const bool left_out = (SSL_CTX_get_options(context.get()) & SSL_OP_NO_TLSv1_2) != 0;
  // The machine's configuration of OpenSSL may leave TLS 1.2 out as well.
  if (without_tls12 && !left_out) {
    return absl::InternalError("--tls-min-version: OpenSSL keeps TLS 1.2");
  }
  return absl::OkStatus();
}

}  // namespace attend
