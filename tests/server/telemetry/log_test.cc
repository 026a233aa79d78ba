// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/log.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(LogTest, WritesTextLinesForPeople) {
  EXPECT_EQ(FormatLine(LogFormat::kText, "listening", {{"address", "0.0.0.0:1"}, {"n", "2"}}),
            "listening address=\"0.0.0.0:1\" n=\"2\"");
}

TEST(LogTest, WritesJsonThatReadsBackWhateverItHolds) {
  const std::string odd = "quote \" backslash \\ newline \n bell \x07 end";
  const std::string line = FormatLine(LogFormat::kJson, odd, {{"key", odd}});
  const auto json = nlohmann::json::parse("{" + line + "}");
  EXPECT_EQ(json["message"], odd);
  EXPECT_EQ(json["key"], odd);
  EXPECT_EQ(line.find('\n'), std::string::npos) << "one line an event";
}

// As gRPC's threads do when a server ends.
TEST(LogDeathTest, LinesMayComeAfterMainHasReturned) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a new process, which has no log yet
  EXPECT_EXIT(
      {
        std::atexit([] { Log(LogLevel::kInfo, "late"); });  // runs after what comes next is gone
        SetUpLog(LogFormat::kText, LogLevel::kInfo);
        std::exit(0);
      },
      testing::ExitedWithCode(0), " info late");
}

}  // namespace
}  // namespace attend
