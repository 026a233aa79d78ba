// SPDX-License-Identifier: Apache-2.0
#include "server/codec/utf8.h"

#include <cstddef>
#include <cstdint>

namespace attend {

// RFC 3629, section 4: after the first byte only the second one has a range
// that depends on it; all others are 80..BF.
bool IsValidUtf8(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto first = static_cast<uint8_t>(text[i++]);
    if (first < 0x80) continue;
    size_t more = 0;
    uint8_t low = 0x80;
    uint8_t high = 0xBF;
    if (first >= 0xC2 && first <= 0xDF) {
      more = 1;
    } else if (first >= 0xE0 && first <= 0xEF) {
      more = 2;
      if (first == 0xE0) low = 0xA0;   // shorter forms exist below
      if (first == 0xED) high = 0x9F;  // surrogates above
    } else if (first >= 0xF0 && first <= 0xF4) {
      more = 3;
      if (first == 0xF0) low = 0x90;
      if (first == 0xF4) high = 0x8F;  // U+10FFFF is the last
    } else {
      return false;
    }
    if (text.size() - i < more) return false;
    for (; more > 0; --more) {
      const auto next = static_cast<uint8_t>(text[i++]);
      if (next < low || next > high) return false;
      low = 0x80;
      high = 0xBF;
    }
  }
  return true;
}

}  // namespace attend
