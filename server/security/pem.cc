// SPDX-License-Identifier: Apache-2.0
#include "server/security/pem.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace attend {
namespace {

using BioPtr = std::unique_ptr<BIO, OpenSslFree<BIO_free>>;

BioPtr Open(const std::string& pem) {
  ERR_clear_error();
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

bool IsAtEnd() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

// Called for an encrypted key; `asked` is a bool.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

absl::StatusOr<absl::Time> ToTime(const ASN1_TIME* time) {
  std::tm utc = {};
  if (ASN1_TIME_to_tm(time, &utc) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("holds a certificate whose dates cannot be read");
  }
  return absl::FromTM(utc, absl::UTCTimeZone());
}

}  // namespace

std::string TakeOpenSslReason() {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(error);
  ERR_clear_error();
  return reason == nullptr ? "no reason given" : reason;
}

absl::StatusOr<std::vector<X509Ptr>> ParseCertificates(const std::string& pem) {
  const BioPtr bio = Open(pem);
  std::vector<X509Ptr> certificates;
  while (X509* certificate = PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(certificate);
    // Reads the extensions, which are not looked at before the certificate is used.
    if (X509_check_purpose(certificate, -1, 0) != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("holds a certificate, number ", certificates.size(),
                       ", whose extensions cannot be read: ", TakeOpenSslReason()));
    }
  }
  if (!IsAtEnd()) {
    return absl::InvalidArgumentError(absl::StrCat("holds a certificate, number ",
                                                   certificates.size() + 1,
                                                   ", that cannot be read: ", TakeOpenSslReason()));
  }
  ERR_clear_error();
  if (certificates.empty()) {
    return absl::InvalidArgumentError(
        "holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----");
  }
  return certificates;
}

absl::StatusOr<PrivateKeyPtr> ParsePrivateKey(const std::string& pem) {
  if (!absl::StrContains(pem, "PRIVATE KEY-----")) {
    return absl::InvalidArgumentError(
        "holds no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----");
  }
  const BioPtr bio = Open(pem);
  bool asked = false;
  PrivateKeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, &asked));
  if (asked) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        "is encrypted, and the server has nobody to ask for its passphrase: decrypt it with "
        "\"openssl pkey -in ENCRYPTED -out PLAIN\" and let nobody but the server's user read it");
  }
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("holds a private key that cannot be read: ", TakeOpenSslReason()));
  }
  return key;
}

absl::StatusOr<Validity> GetValidity(const X509& certificate) {
  const absl::StatusOr<absl::Time> from = ToTime(X509_get0_notBefore(&certificate));
  if (!from.ok()) return from.status();
  const absl::StatusOr<absl::Time> until = ToTime(X509_get0_notAfter(&certificate));
  if (!until.ok()) return until.status();
  return Validity{*from, *until};
}

std::string FormatUtc(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace attend
