// SPDX-License-Identifier: Apache-2.0
#include "core/base/quoted.h"

#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(Quoted, EscapesAndCuts) {
  EXPECT_EQ(Quoted("a\n\"\x01"), "\"a\\n\\\"\\x01\"");
  EXPECT_EQ(Quoted(std::string(120, 'x')), "\"" + std::string(120, 'x') + "\"");
  EXPECT_EQ(Quoted(std::string(500, 'x')), "\"" + std::string(120, 'x') + "...\"");
}

}  // namespace
}  // namespace attend
