// SPDX-License-Identifier: Apache-2.0
#include "server/calls/traceparent.h"

#include <string>

#include "gtest/gtest.h"

namespace attend {
namespace {

// The example of W3C Trace Context, section 3.2.
constexpr char kExample[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceparentTest, TakesTheExampleOfTheSpecification) {
  EXPECT_TRUE(IsTraceparent(kExample));
  EXPECT_TRUE(IsTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
  EXPECT_TRUE(IsTraceparent("00-00000000000000000000000000000001-0000000000000001-ff"));
}

TEST(TraceparentTest, RefusesWhatTheSpecificationCallsInvalid) {
  for (const char* text : {
           "",
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",     // trace id of zeros
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",     // parent id of zeros
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",     // upper case
           "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",     // version ff
           "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",     // a version of the future
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-00",  // more than version 00
                                                                          // has
           "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-011",     // digits in other places
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
           "00 4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 01",
       }) {
    EXPECT_FALSE(IsTraceparent(text)) << text;
  }
  for (size_t i = 0; i < sizeof(kExample) - 1; ++i) {
    std::string changed = kExample;
    changed[i] = 'x';
    EXPECT_FALSE(IsTraceparent(changed)) << changed;
    EXPECT_FALSE(IsTraceparent(std::string(kExample).substr(0, i))) << i;
  }
}

}  // namespace
}  // namespace attend
