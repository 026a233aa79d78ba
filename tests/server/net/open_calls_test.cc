// SPDX-License-Identifier: Apache-2.0
#include "server/net/open_calls.h"

#include "core/base/status.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(OpenCallsTest, RefusesOneCallTooManyOfACallerAndInAll) {
  OpenCalls calls({3, 2});
  EXPECT_TRUE(calls.Enter("a").ok());
  EXPECT_TRUE(calls.Enter("a").ok());
  const absl::Status caller = calls.Enter("a");
  EXPECT_TRUE(absl::IsResourceExhausted(caller));
  EXPECT_EQ(GetErrorInfo(caller).reason, "CALLER_CALLS");
  EXPECT_GT(GetRetryPushback(caller), absl::ZeroDuration());
  EXPECT_TRUE(calls.Enter("b").ok());
  const absl::Status all = calls.Enter("c");
  EXPECT_TRUE(absl::IsResourceExhausted(all));
  EXPECT_EQ(GetErrorInfo(all).reason, "CALLS");
  EXPECT_GT(GetRetryPushback(all), absl::ZeroDuration());
  EXPECT_EQ(calls.stats().open, 3);
  EXPECT_EQ(calls.stats().refused_caller, 1);
  EXPECT_EQ(calls.stats().refused_total, 1);
}

TEST(OpenCallsTest, TakesCallsAgainWhenOthersHaveEnded) {
  OpenCalls calls({2, 1});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(calls.Enter("a").ok());
    EXPECT_FALSE(calls.Enter("a").ok());
    EXPECT_TRUE(calls.Enter("b").ok());
    EXPECT_FALSE(calls.Enter("c").ok());
    calls.Leave("b");
    calls.Leave("a");
    EXPECT_EQ(calls.stats().open, 0);
  }
}

}  // namespace
}  // namespace attend
