// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/log_quoted.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "client/cli/terminal.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/codec/utf8.h"

namespace attend {
namespace {

using testing::HasSubstr;
using testing::Not;

// nlohmann's parser refuses a string that is not UTF-8 or holds a bare control character.
std::string ReadBack(const std::string& quoted) {
  return nlohmann::json::parse(quoted).get<std::string>();
}

TEST(LogQuotedTest, KeepsWhatPeopleCanRead) {
  EXPECT_EQ(LogQuoted("layer a/0"), "\"layer a/0\"");
  EXPECT_EQ(LogQuoted("größe 注意 🙂"), "\"größe 注意 🙂\"");
}

TEST(LogQuotedTest, EscapesWhatTerminalsObeyOrHide) {
  const std::string text =
      "esc \x1b[2J del \x7f csi \xc2\x9b line \xe2\x80\xa8 par \xe2\x80\xa9 rtl \xe2\x80\xae zero "
      "\xe2\x80\x8b bom \xef\xbb\xbf tag \xf3\xa0\x80\xa0 end";
  EXPECT_EQ(LogQuoted(text),
            "\"esc \\u001b[2J del \\u007f csi \\u009b line \\u2028 par \\u2029 rtl \\u202e zero "
            "\\u200b bom \\ufeff tag \\udb40\\udc20 end\"");
  EXPECT_EQ(ReadBack(LogQuoted(text)), text);
}

TEST(LogQuotedTest, EscapesWhatIsNotVisible) {
  EXPECT_EQ(LogQuoted("l\u00ad0\u034f \u115f\u1160\u3164\uffa0 \u180b\u180f a\ufe00\ufe0f"),
            "\"l\\u00ad0\\u034f \\u115f\\u1160\\u3164\\uffa0 \\u180b\\u180f a\\ufe00\\ufe0f\"");
  EXPECT_EQ(LogQuoted("\U000e0100\U000e01ef"), "\"\\udb40\\udd00\\udb40\\uddef\"");
}

std::string Utf8Of(uint32_t code_point) {
  const auto byte = [code_point](uint32_t mark, int shift) {
    return static_cast<char>(mark | (code_point >> shift & 0x3f));
  };
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  if (code_point < 0x800) return {byte(0xc0, 6), byte(0x80, 0)};
  if (code_point < 0x10000) return {byte(0xe0, 12), byte(0x80, 6), byte(0x80, 0)};
  return {byte(0xf0, 18), byte(0x80, 12), byte(0x80, 6), byte(0x80, 0)};
}

// The server and its command have a table each.
TEST(LogQuotedTest, EscapesTheCharactersThatTheCommandEscapes) {
  for (uint32_t code_point = 0; code_point <= 0x10ffff; ++code_point) {
    const std::string text = Utf8Of(code_point);
    if (!IsValidUtf8(text) || text == "\"" || text == "\\") continue;
    ASSERT_EQ(LogQuoted(text) == '"' + text + '"', cli::EscapeForTerminal(text) == text)
        << "U+" << std::hex << code_point;
  }
}

TEST(LogQuotedTest, WritesBytesThatAreNotUtf8AsText) {
  EXPECT_EQ(LogQuoted("a\xff\xc3"), "\"a\\\\xff\\\\xc3\"");
  EXPECT_EQ(ReadBack(LogQuoted("a\xff\xc3")), "a\\xff\\xc3");
  // Overlong forms, surrogates and what lies above U+10FFFF.
  for (const std::string bytes : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    EXPECT_THAT(ReadBack(LogQuoted(bytes)), HasSubstr("\\x"));
  }
}

TEST(LogQuotedTest, MakesJsonOfAnyBytes) {
  constexpr uint32_t kSeed = 20261129;
  std::mt19937 random{kSeed};
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random() % 24, '\0');
    for (char& byte : bytes)
      byte = static_cast<char>(random() % 3 == 0 ? random() : 0x80 + random() % 0x40);
    const std::string quoted = LogQuoted(bytes);
    ASSERT_NO_THROW(ReadBack(quoted)) << "seed " << kSeed << ", case " << i;
    ASSERT_THAT(quoted, Not(HasSubstr("\n")));
    if (IsValidUtf8(bytes)) {
      ASSERT_EQ(ReadBack(quoted), bytes) << "case " << i;
    }
  }
}

}  // namespace
}  // namespace attend
