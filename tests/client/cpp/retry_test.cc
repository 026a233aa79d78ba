// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/retry.h"

#include <gtest/gtest.h>

namespace attend::client::internal {
namespace {

using absl::Milliseconds;

constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;
constexpr absl::StatusCode kExhausted = absl::StatusCode::kResourceExhausted;

std::optional<absl::Duration> Delay(absl::StatusCode code, std::optional<absl::Duration> pushback,
                                    int attempts, double uniform = 0.5,
                                    absl::Duration left = absl::Seconds(30)) {
  return RetryDelay(RetryPolicy(), {code, pushback, attempts, left}, uniform);
}

TEST(RetryTest, BacksOffExponentiallyUpToTheMaximum) {
  const RetryPolicy policy = {.max_attempts = 100};
  absl::Duration expected = Milliseconds(50);
  for (int attempts = 1; attempts < 20; ++attempts) {
    EXPECT_EQ(RetryDelay(policy, {kUnavailable, {}, attempts, absl::Seconds(30)}, 0.5),
              std::min(expected, absl::Seconds(2)));
    expected *= 2;
  }
}

TEST(RetryTest, SpreadsTheDelay) {
  EXPECT_EQ(Delay(kUnavailable, {}, 1, 0), Milliseconds(40));
  EXPECT_EQ(Delay(kUnavailable, {}, 1, 1), Milliseconds(60));
}

TEST(RetryTest, PushbackReplacesTheBackoffAndIsNeverUndercut) {
  EXPECT_EQ(Delay(kExhausted, Milliseconds(700), 3, 0), Milliseconds(700));
  EXPECT_EQ(Delay(kExhausted, Milliseconds(700), 3, 1), Milliseconds(840));
  EXPECT_EQ(Delay(kUnavailable, Milliseconds(0), 1), Milliseconds(0));
}

TEST(RetryTest, NegativePushbackForbidsIt) {
  EXPECT_EQ(Delay(kExhausted, Milliseconds(-1), 1), std::nullopt);
  EXPECT_EQ(Delay(kUnavailable, Milliseconds(-1), 1), std::nullopt);
}

TEST(RetryTest, ResourceExhaustedWithoutPushbackIsNeverRetried) {
  EXPECT_EQ(Delay(kExhausted, {}, 1), std::nullopt);
}

TEST(RetryTest, OtherCodesAreNeverRetried) {
  for (int code = 1; code <= 16; ++code) {
    const auto status = static_cast<absl::StatusCode>(code);
    if (status == kUnavailable || status == kExhausted) continue;
    EXPECT_EQ(Delay(status, Milliseconds(1), 1), std::nullopt) << code;
  }
}

TEST(RetryTest, EndsAfterMaxAttempts) {
  EXPECT_NE(Delay(kUnavailable, {}, 4), std::nullopt);
  EXPECT_EQ(Delay(kUnavailable, {}, 5), std::nullopt);
}

TEST(RetryTest, AWaitThatDoesNotFitBeforeTheDeadlineEndsIt) {
  EXPECT_EQ(Delay(kUnavailable, {}, 1, 0.5, Milliseconds(50)), std::nullopt);
  EXPECT_EQ(Delay(kUnavailable, {}, 1, 0.5, Milliseconds(51)), Milliseconds(50));
}

}  // namespace
}  // namespace attend::client::internal
