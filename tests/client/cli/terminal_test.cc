// SPDX-License-Identifier: Apache-2.0
#include "client/cli/terminal.h"

#include <gtest/gtest.h>

#include <string>

namespace attend::cli {
namespace {

using ::testing::internal::CaptureStdout;
using ::testing::internal::GetCapturedStdout;

std::string Printed(const char* text) {
  CaptureStdout();
  Print(stdout, "[%s]\n", text);
  return GetCapturedStdout();
}

TEST(TerminalTest, ShowsTextOfEveryLanguageAsItIs) {
  const std::string text = "a\\b \"ü\" 注意力 привет שלום 🙂";
  EXPECT_EQ(EscapeForTerminal(text), text);
}

TEST(TerminalTest, EscapesWhatATerminalObeys) {
  EXPECT_EQ(EscapeForTerminal("\x1b[2J\x07"), "\\x1b[2J\\x07");
  EXPECT_EQ(EscapeForTerminal("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  EXPECT_EQ(EscapeForTerminal(std::string("\0\x7f", 2)), "\\x00\\x7f");
  EXPECT_EQ(EscapeForTerminal("\u0080 \u009b31m \u009f \u00a0"),
            "\\u0080 \\u009b31m \\u009f \u00a0");
}

TEST(TerminalTest, EscapesWhatReordersOrHidesText) {
  EXPECT_EQ(EscapeForTerminal("\u202agnp.\u202e exe\u202c"), "\\u202agnp.\\u202e exe\\u202c");
  EXPECT_EQ(EscapeForTerminal("\u2066a\u2069 \u200f \u061c"), "\\u2066a\\u2069 \\u200f \\u061c");
  EXPECT_EQ(EscapeForTerminal("a\u2028b\u2029c"), "a\\u2028b\\u2029c");
  EXPECT_EQ(EscapeForTerminal("l\u200b0 \ufeff \U000e0041"), "l\\u200b0 \\ufeff \\U000e0041");
}

TEST(TerminalTest, EscapesWhatIsNotVisible) {
  // Soft hyphen, grapheme joiner, fillers, variation selectors, format controls.
  EXPECT_EQ(EscapeForTerminal("l\u00ad0\u034f"), "l\\u00ad0\\u034f");
  EXPECT_EQ(EscapeForTerminal("\u115f\u1160\u3164\uffa0"), "\\u115f\\u1160\\u3164\\uffa0");
  EXPECT_EQ(EscapeForTerminal("\u17b4\u180b\u180f"), "\\u17b4\\u180b\\u180f");
  EXPECT_EQ(EscapeForTerminal("a\ufe00\ufe0f\ufff0"), "a\\ufe00\\ufe0f\\ufff0");
  EXPECT_EQ(EscapeForTerminal("\U0001bca0\U0001d17a"), "\\U0001bca0\\U0001d17a");
  EXPECT_EQ(EscapeForTerminal("\U000e0100\U000e01ef"), "\\U000e0100\\U000e01ef");
  // Their neighbours are visible.
  const std::string visible = "\u00ac\u00ae\u0350\u1161\u180a\u1810\u3163\ufe10\uffa1";
  EXPECT_EQ(EscapeForTerminal(visible), visible);
}

TEST(TerminalTest, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(EscapeForTerminal("\x9b"
                              "31m"),
            "\\x9b31m");                                                     // C1 of Latin-1
  EXPECT_EQ(EscapeForTerminal("\xc0\x9b"), "\\xc0\\x9b");                    // overlong
  EXPECT_EQ(EscapeForTerminal("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");           // overlong
  EXPECT_EQ(EscapeForTerminal("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(EscapeForTerminal("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above 10ffff
  EXPECT_EQ(EscapeForTerminal("\xff"), "\\xff");
  EXPECT_EQ(EscapeForTerminal("\xe6\xb3"), "\\xe6\\xb3");  // cut off
  EXPECT_EQ(EscapeForTerminal("\xe6\x1b[2J"), "\\xe6\\x1b[2J");
}

TEST(TerminalTest, AnArgumentCannotAddALine) {
  EXPECT_EQ(Printed("ok\nattend: done"), "[ok\\nattend: done]\n");
}

TEST(TerminalTest, TextThatIsComposedElsewhereIsEscapedToo) {
  CaptureStdout();
  WriteText(stdout, "one\ntwo \x1b[2J \u202e \xff\n");
  EXPECT_EQ(GetCapturedStdout(), "one\ntwo \\x1b[2J \\u202e \\xff\n");
}

}  // namespace
}  // namespace attend::cli
