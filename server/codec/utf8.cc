// SPDX-License-Identifier: Apache-2.0
#include "server/codec/utf8.h"

namespace attend {

// RFC 3629, section 4.
size_t ReadCodePoint(absl::string_view text, uint32_t& code_point) {
  const auto lead = static_cast<unsigned char>(text.front());
  size_t length = 1;
  uint32_t smallest = 0;
  if (lead < 0x80) {
    code_point = lead;
  } else if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2, smallest = 0x80, code_point = lead & 0x1f;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3, smallest = 0x800, code_point = lead & 0x0f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4, smallest = 0x10000, code_point = lead & 0x07;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return 0;
    code_point = code_point << 6 | (next & 0x3f);
  }
  const bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
  return code_point < smallest || code_point > 0x10ffff || surrogate ? 0 : length;
}

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    uint32_t code_point = 0;
    const size_t length = ReadCodePoint(text, code_point);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace attend
