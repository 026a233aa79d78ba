// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_FUZZ_TARGETS_FUZZ_INPUT_H_
#define ATTEND_TESTS_FUZZ_TARGETS_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proto/wire/bytes.h"

namespace attend {

// Ends the program where a property does not hold; a fuzzer then keeps the input.
inline void Require(bool holds, const char* property, const std::string& details = "") {
  if (holds) return;
  std::cerr << "does not hold: " << property << "\n" << details << std::endl;
  __builtin_trap();
}

// An input whose last byte says in how large chunks the rest lies. Each chunk has memory of its
// own, so that AddressSanitizer sees a read past its end.
class ChunkedInput {
 public:
  ChunkedInput(const uint8_t* data, size_t size) {
    const size_t step =
        size == 0 || data[size - 1] % 4 == 0 ? SIZE_MAX : data[size - 1] % 4 * 3 - 2;
    bytes_.assign(reinterpret_cast<const char*>(data), size == 0 ? 0 : size - 1);
    for (size_t i = 0; i < bytes_.size();) {
      const size_t length = std::min(step, bytes_.size() - i);
      memory_.emplace_back(bytes_.begin() + static_cast<std::ptrdiff_t>(i),
                           bytes_.begin() + static_cast<std::ptrdiff_t>(i + length));
      i += length;
    }
    for (const std::vector<char>& part : memory_) chunks_.emplace_back(part.data(), part.size());
  }

  const std::string& bytes() const { return bytes_; }
  const std::vector<absl::string_view>& chunks() const { return chunks_; }
  WireBytes wire() const { return WireBytes(chunks_); }

 private:
  std::string bytes_;
  std::vector<std::vector<char>> memory_;
  std::vector<absl::string_view> chunks_;
};

}  // namespace attend

#endif  // ATTEND_TESTS_FUZZ_TARGETS_FUZZ_INPUT_H_
