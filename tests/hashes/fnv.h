// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_HASHES_FNV_H_
#define ATTEND_TESTS_HASHES_FNV_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace attend {

// FNV-1a of 64 bits (Fowler, Noll, Vo; RFC 9923), over bytes from the lowest up.
class Fnv {
 public:
  explicit Fnv(uint64_t seed = 0) { Add(seed, sizeof(seed)); }

  // Adds the lowest `bytes` bytes of `word`.
  Fnv& Add(uint64_t word, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i, word >>= 8) value_ = (value_ ^ (word & 0xff)) * kPrime;
    return *this;
  }

  Fnv& AddText(absl::string_view text) {
    for (const char c : text) Add(static_cast<unsigned char>(c), 1);
    return *this;
  }

  uint64_t value() const { return value_; }

 private:
  static constexpr uint64_t kPrime = 0x100000001b3;

  uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace attend

#endif  // ATTEND_TESTS_HASHES_FNV_H_
