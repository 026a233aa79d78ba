// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_SUPPORT_CERTIFICATE_H_
#define ATTEND_TESTS_SUPPORT_CERTIFICATE_H_

#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace attend {

// A certificate and its key, in PEM.
struct Certificate {
  std::string certificate;
  std::string key;
};

struct CertificateSpec {
  std::string name = "localhost";  // of the subject, and a DNS name of it
  absl::Time not_before = absl::Now() - absl::Hours(1);
  absl::Time not_after = absl::Now() + absl::Hours(24);
  const Certificate* issuer = nullptr;  // nullptr: signs itself, and may sign others
  int rsa_bits = 0;                     // 0: a key on the curve P-256
};

// Makes a new key and a certificate for it. Ends the program where OpenSSL refuses.
Certificate MakeCertificate(const CertificateSpec& spec = {});

// The same key, encrypted with a passphrase.
std::string EncryptKey(const std::string& key, const std::string& passphrase);

}  // namespace attend

#endif  // ATTEND_TESTS_SUPPORT_CERTIFICATE_H_
