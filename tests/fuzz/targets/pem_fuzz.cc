// SPDX-License-Identifier: Apache-2.0

// The files of a certificate, of its key and of the callers' authorities: one text that is all
// three. OpenSSL parses them when the server listens; here they are read and checked.

#include "absl/strings/match.h"
#include "server/security/credentials.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/fuzz/targets/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const attend::MemoryFile file(text);
  attend::TlsConfig config;
  config.cert_file = config.key_file = config.client_ca_file = file.path();
  const auto credentials = attend::MakeServerCredentials(config);
  attend::Require(credentials.ok() == absl::StrContains(text, "-----BEGIN "),
                  "files with PEM are taken, others refused");
  return 0;
}
