// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/log_limit.h"

#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"

namespace attend {
namespace {

TEST(LogLimitTest, AdmitsSoManyLinesInASecondAndThenSaysHowManyWereLeftOut) {
  FakeClock clock;
  LogLimit limit(2, clock);
  EXPECT_EQ(limit.Admit(), 0);
  EXPECT_EQ(limit.Admit(), 0);
  EXPECT_EQ(limit.Admit(), std::nullopt);
  clock.Advance(absl::Milliseconds(999));
  EXPECT_EQ(limit.Admit(), std::nullopt);
  clock.Advance(absl::Milliseconds(1));
  EXPECT_EQ(limit.Admit(), 2);
  EXPECT_EQ(limit.Admit(), 0);
  EXPECT_EQ(limit.Admit(), std::nullopt);
}

}  // namespace
}  // namespace attend
