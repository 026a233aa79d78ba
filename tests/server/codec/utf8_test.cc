// SPDX-License-Identifier: Apache-2.0
#include "server/codec/utf8.h"

#include <string>

#include "gtest/gtest.h"

namespace attend {
namespace {

// Encodes a code point by the definition, for any number: the oracle of the sweep.
std::string Encode(uint32_t point) {
  std::string out;
  if (point < 0x80) {
    out.push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    out.push_back(static_cast<char>(0xC0 | point >> 6));
    out.push_back(static_cast<char>(0x80 | (point & 0x3F)));
  } else if (point < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | point >> 12));
    out.push_back(static_cast<char>(0x80 | (point >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (point & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | point >> 18));
    out.push_back(static_cast<char>(0x80 | (point >> 12 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (point >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (point & 0x3F)));
  }
  return out;
}

TEST(Utf8Test, TakesEveryCodePointButSurrogates) {
  for (uint32_t point = 0; point < 0x120000; ++point) {
    const bool valid = point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
    ASSERT_EQ(IsValidUtf8(Encode(point)), valid) << std::hex << point;
  }
}

TEST(Utf8Test, RefusesLongFormsStrayAndMissingBytes) {
  for (const char* text :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\x80", "\xC3", "\xE6\xB3",
        "\xF0\x9F\x98", "\xC3(", "\xFF", "\xF8\x88\x80\x80"}) {
    EXPECT_FALSE(IsValidUtf8(text)) << text;
  }
  EXPECT_TRUE(IsValidUtf8(""));
}

}  // namespace
}  // namespace attend
