// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_SHA256_H_
#define ATTEND_CORE_BASE_SHA256_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace attend {

// SHA-256 (FIPS 180-4) of bytes that arrive in several calls; OpenSSL computes it.
// Thread-compatible.
class Sha256 {
 public:
  Sha256();

  void Update(absl::string_view bytes);

  // The digest of all bytes so far, in lower-case hex. INTERNAL if OpenSSL failed at any step:
  // it had no memory, or its configuration offers no SHA-256. Call it once, last.
  absl::StatusOr<std::string> Finish();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
  bool ok_ = false;  // every step so far succeeded
};

// The digest of `bytes`; errors as Sha256::Finish.
absl::StatusOr<std::string> Sha256Hex(absl::string_view bytes);

}  // namespace attend

#endif  // ATTEND_CORE_BASE_SHA256_H_
