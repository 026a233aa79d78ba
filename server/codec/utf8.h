// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_UTF8_H_
#define ATTEND_SERVER_CODEC_UTF8_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace attend {

// UTF-8 is what RFC 3629 defines: shortest forms only, no surrogates, nothing above U+10FFFF.

// Reads the character that `text`, which is not empty, begins with. Returns how many bytes it has;
// 0, with any code point, if the text does not begin with one.
size_t ReadCodePoint(absl::string_view text, uint32_t& code_point);

// Whether all of `text` is UTF-8. Protobuf demands it of `string` fields.
bool IsValidUtf8(absl::string_view text);

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_UTF8_H_
