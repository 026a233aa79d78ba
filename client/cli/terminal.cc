// SPDX-License-Identifier: Apache-2.0
#include "client/cli/terminal.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace attend::cli {
namespace {

struct Range {
  uint32_t first, last;
};

// Code points that are never shown as they are, in ascending order: those that a terminal obeys,
// those that set the direction of text, and all that Unicode calls default-ignorable, which are not
// visible. server/telemetry/log_quoted.cc has the same table, and a test compares them.
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

// Takes one code point off the front of the text, which is not empty. Returns false, and takes
// nothing, where the text does not begin with well-formed UTF-8 (Unicode 15, table 3-7).
bool TakeCodePoint(absl::string_view* text, uint32_t* code_point) {
  const auto lead = static_cast<unsigned char>(text->front());
  size_t length = 1;
  uint32_t smallest = 0;
  if (lead < 0x80) {
    *code_point = lead;
  } else if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2, smallest = 0x80, *code_point = lead & 0x1f;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3, smallest = 0x800, *code_point = lead & 0x0f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4, smallest = 0x10000, *code_point = lead & 0x07;
  } else {
    return false;
  }
  if (text->size() < length) return false;
  for (size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>((*text)[i]);
    if ((next & 0xc0) != 0x80) return false;
    *code_point = *code_point << 6 | (next & 0x3f);
  }
  const bool surrogate = *code_point >= 0xd800 && *code_point <= 0xdfff;
  if (*code_point < smallest || *code_point > 0x10ffff || surrogate) return false;
  text->remove_prefix(length);
  return true;
}

void AppendEscaped(uint32_t code_point, std::string* out) {
  if (code_point == '\n') {
    out->append("\\n");
  } else if (code_point == '\r') {
    out->append("\\r");
  } else if (code_point == '\t') {
    out->append("\\t");
  } else if (code_point < 0x80) {
    absl::StrAppendFormat(out, "\\x%02x", code_point);
  } else if (code_point < 0x10000) {
    absl::StrAppendFormat(out, "\\u%04x", code_point);
  } else {
    absl::StrAppendFormat(out, "\\U%08x", code_point);
  }
}

std::string Escape(absl::string_view text, bool keep_newlines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const absl::string_view before = text;
    uint32_t code_point = 0;
    if (!TakeCodePoint(&text, &code_point)) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
    } else if (IsEscaped(code_point) && !(keep_newlines && code_point == '\n')) {
      AppendEscaped(code_point, &out);
    } else {
      out.append(before.data(), before.size() - text.size());
    }
  }
  return out;
}

}  // namespace

std::string EscapeForTerminal(absl::string_view text) {
  return Escape(text, /*keep_newlines=*/false);
}

void WriteText(std::FILE* stream, absl::string_view text) {
  const std::string escaped = Escape(text, /*keep_newlines=*/true);
  std::fwrite(escaped.data(), 1, escaped.size(), stream);
}

}  // namespace attend::cli
