// SPDX-License-Identifier: Apache-2.0
#include "core/base/sha256.h"

#include <openssl/crypto.h>

#include <cstdlib>

#include "gtest/gtest.h"

namespace attend {
namespace {

// OpenSSL's allocations fail while this is set. OpenSSL takes other functions for memory only
// before its first allocation, hence a static initializer.
bool no_memory = false;

void* Allocate(size_t bytes, const char*, int) {
  return no_memory ? nullptr : std::malloc(bytes);
}
void* Reallocate(void* old, size_t bytes, const char*, int) {
  return no_memory ? nullptr : std::realloc(old, bytes);
}
void Free(void* memory, const char*, int) {
  std::free(memory);
}

const bool memory_is_ours = CRYPTO_set_mem_functions(&Allocate, &Reallocate, &Free) == 1;

// The examples of FIPS 180-4 (csrc.nist.gov, "SHA256.pdf"), and the empty message.
TEST(Sha256, GivesTheDigestsOfTheStandard) {
  EXPECT_EQ(*Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(*Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(*Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, TakesBytesInPieces) {
  Sha256 sha;
  sha.Update("a");
  sha.Update("");
  sha.Update("bc");
  EXPECT_EQ(*sha.Finish(), *Sha256Hex("abc"));
}

TEST(Sha256, ReportsThatOpenSslHadNoMemory) {
  ASSERT_TRUE(memory_is_ours);
  no_memory = true;
  const auto digest = Sha256Hex("abc");
  no_memory = false;
  EXPECT_EQ(digest.status().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(Sha256Hex("abc").ok());
}

}  // namespace
}  // namespace attend
