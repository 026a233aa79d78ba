// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/log_quoted.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "absl/strings/str_format.h"
#include "server/codec/utf8.h"

namespace attend {
namespace {

struct Range {
  uint32_t first, last;
};

// Code points that are never written as they are, in ascending order: those that a terminal obeys,
// those that set the direction of text, and all that Unicode calls default-ignorable, which are not
// visible. client/cli/terminal.cc has the same table, and a test compares them.
constexpr Range kEscaped[] = {
    {0x0000, 0x001f},    // C0: escape sequences begin with 1b
    {0x007f, 0x009f},    // DEL and C1: 9b begins escape sequences, too
    {0x00ad, 0x00ad},    // soft hyphen
    {0x034f, 0x034f},    // combining grapheme joiner
    {0x061c, 0x061c},    // Arabic letter mark
    {0x115f, 0x1160},    // Hangul fillers
    {0x17b4, 0x17b5},    // Khmer inherent vowels
    {0x180b, 0x180f},    // Mongolian variation selectors and vowel separator
    {0x200b, 0x200f},    // zero-width characters, left-to-right and right-to-left mark
    {0x2028, 0x202e},    // separators of lines and paragraphs, embeddings and overrides
    {0x2060, 0x206f},    // invisible operators and isolates
    {0x3164, 0x3164},    // Hangul filler
    {0xfe00, 0xfe0f},    // variation selectors
    {0xfeff, 0xfeff},    // byte order mark
    {0xffa0, 0xffa0},    // halfwidth Hangul filler
    {0xfff0, 0xfffb},    // reserved for invisible characters; interlinear annotations
    {0x1bca0, 0x1bca3},  // shorthand format controls
    {0x1d173, 0x1d17a},  // musical format controls
    {0xe0000, 0xe0fff},  // tags and variation selectors
};

bool IsEscaped(uint32_t code_point) {
  return std::any_of(std::begin(kEscaped), std::end(kEscaped), [=](const Range& range) {
    return code_point >= range.first && code_point <= range.last;
  });
}

void AppendEscaped(uint32_t code_point, std::string& out) {
  if (code_point == '\n') {
    out += "\\n";
  } else if (code_point < 0x10000) {
    absl::StrAppendFormat(&out, "\\u%04x", code_point);
  } else {  // a surrogate pair
    const uint32_t offset = code_point - 0x10000;
    absl::StrAppendFormat(&out, "\\u%04x\\u%04x", 0xd800 + (offset >> 10),
                          0xdc00 + (offset & 0x3ff));
  }
}

}  // namespace

std::string LogQuoted(absl::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    uint32_t code_point = 0;
    size_t length = ReadCodePoint(text, code_point);
    if (length == 0) {
      length = 1;
      absl::StrAppendFormat(&out, "\\\\x%02x", static_cast<unsigned char>(text.front()));
    } else if (code_point == '"' || code_point == '\\') {
      out += '\\';
      out += text.front();
    } else if (IsEscaped(code_point)) {
      AppendEscaped(code_point, out);
    } else {
      out.append(text.data(), length);
    }
    text.remove_prefix(length);
  }
  return out + '"';
}

}  // namespace attend
