#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "core/base/status.h"
#include "core/weights/file.h"

namespace attend {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }

  void Update(const void* data, size_t bytes) { EVP_DigestUpdate(context_.get(), data, bytes); }

  std::string Hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int bytes = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &bytes);
    return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), bytes));
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string Sha256Hex(absl::string_view text) {
  Sha256 sha;
  sha.Update(text.data(), text.size());
  return sha.Hex();
}

absl::StatusOr<std::string> Sha256Hex(const File& file) {
  Sha256 sha;
  std::vector<char> chunk(size_t{1} << 20);
  for (uint64_t offset = 0; offset < file.size();) {
    const size_t bytes = std::min<uint64_t>(chunk.size(), file.size() - offset);
    ATTEND_RETURN_IF_ERROR(file.ReadAt(offset, chunk.data(), bytes));
    sha.Update(chunk.data(), bytes);
    offset += bytes;
  }
  return sha.Hex();
}

}  // namespace attend
