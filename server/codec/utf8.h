// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_UTF8_H_
#define ATTEND_SERVER_CODEC_UTF8_H_

#include "absl/strings/string_view.h"

namespace attend {

// Whether `text` is UTF-8 as RFC 3629 defines it: shortest forms only, no
// surrogates, nothing above U+10FFFF. Protobuf demands it of `string` fields.
bool IsValidUtf8(absl::string_view text);

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_UTF8_H_
