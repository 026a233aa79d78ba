// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_INTEGRATION_SERVER_CERTIFICATE_H_
#define ATTEND_TESTS_INTEGRATION_SERVER_CERTIFICATE_H_

#include <string>

namespace attend {

// A new self-signed certificate for "localhost", in PEM.
struct Certificate {
  std::string certificate;
  std::string key;
};
Certificate MakeCertificate();

}  // namespace attend

#endif  // ATTEND_TESTS_INTEGRATION_SERVER_CERTIFICATE_H_
