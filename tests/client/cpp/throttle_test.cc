// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/throttle.h"

#include <gtest/gtest.h>

#include "client/cpp/load_control.h"
#include "tests/client/cpp/fake_pacer.h"

namespace attend::client::internal {
namespace {

using absl::Milliseconds;
using absl::Seconds;

TEST(ThrottleProbabilityTest, Table) {
  const struct {
    double requests, accepts, requests_per_accept, probability;
  } cases[] = {
      {0, 0, 2, 0},
      {1, 0, 2, 1.0 / 9},        // one refused request proves little
      {100, 100, 2, 0},          // all accepted
      {100, 50, 2, 0},           // as many refused as accepted: still all sent
      {100, 40, 2, 20.0 / 108},  // more refused
      {1000, 0, 2, 1000.0 / 1008},
      {100, 90, 1.1, 1.0 / 108},  // a smaller K throttles earlier
  };
  for (const auto& c : cases) {
    EXPECT_NEAR(ThrottleProbability(c.requests, c.accepts, c.requests_per_accept), c.probability,
                1e-12)
        << c.requests << " " << c.accepts << " " << c.requests_per_accept;
  }
}

TEST(AdaptiveThrottleTest, HoldsBackWhenMostRequestsAreRefused) {
  AdaptiveThrottle throttle(ThrottlingPolicy{});
  for (int i = 0; i < 92; ++i) throttle.RecordRefusal(Seconds(1));
  EXPECT_FALSE(throttle.Admit(Seconds(1), 0.91));  // probability 0.92, then more
  EXPECT_TRUE(throttle.Admit(Seconds(1), 0.95));
}

TEST(AdaptiveThrottleTest, RequestsHeldBackCountAsRequests) {
  AdaptiveThrottle throttle(ThrottlingPolicy{});
  for (int i = 0; i < 8; ++i) throttle.RecordRefusal(Seconds(1));
  EXPECT_TRUE(throttle.Admit(Seconds(1), 0.5));  // exactly 8 of 16
  EXPECT_FALSE(throttle.Admit(Seconds(1), 0.4));
  EXPECT_FALSE(throttle.Admit(Seconds(1), 0.5));  // 9 of 17
}

TEST(AdaptiveThrottleTest, SendsKRequestsPerAccept) {
  AdaptiveThrottle throttle({.requests_per_accept = 2});
  for (int i = 0; i < 50; ++i) throttle.RecordAccept(Seconds(1));
  for (int i = 0; i < 50; ++i) throttle.RecordRefusal(Seconds(1));
  EXPECT_TRUE(throttle.Admit(Seconds(1), 0));
  throttle.RecordRefusal(Seconds(1));
  EXPECT_FALSE(throttle.Admit(Seconds(1), 0));
}

TEST(AdaptiveThrottleTest, ForgetsWhatIsOlderThanTheWindow) {
  AdaptiveThrottle throttle({.window = Seconds(16)});
  for (int i = 0; i < 1000; ++i) throttle.RecordRefusal(Seconds(100) + Milliseconds(i));
  EXPECT_FALSE(throttle.Admit(Milliseconds(115'999), 0.5));
  EXPECT_TRUE(throttle.Admit(Seconds(116), 0.5));
  // The slot is used again, for another time.
  throttle.RecordAccept(Seconds(116));
  EXPECT_TRUE(throttle.Admit(Seconds(116), 0));
}

class LoadControlTest : public testing::Test {
 protected:
  void Fail(FailureKind kind, std::optional<absl::Duration> pushback = {}, int attempts = 1) {
    for (int i = 0; i < 1000; ++i) load_.RecordFailure(kind, pushback, attempts);
  }

  FakePacer pacer_;
  LoadControl load_{RetryPolicy(), ThrottlingPolicy(), pacer_};
};

TEST_F(LoadControlTest, OnlyRefusalsForLoadThrottle) {
  Fail(FailureKind::kUnavailable);
  Fail(FailureKind::kExpired);
  Fail(FailureKind::kRejected);
  EXPECT_TRUE(load_.Admit());
  Fail(FailureKind::kOverloaded);
  EXPECT_TRUE(load_.Admit());  // as many were answered
  Fail(FailureKind::kOverloaded);
  Fail(FailureKind::kOverloaded);
  Fail(FailureKind::kOverloaded);
  EXPECT_FALSE(load_.Admit());
  pacer_.Advance(absl::Minutes(3));
  EXPECT_TRUE(load_.Admit());
}

TEST_F(LoadControlTest, FailuresThatAreNotRetriedLeaveTheBudget) {
  Fail(FailureKind::kExpired);
  Fail(FailureKind::kRejected);
  EXPECT_TRUE(load_.AllowsRetry());
  Fail(FailureKind::kUnavailable);
  EXPECT_FALSE(load_.AllowsRetry());
}

// The calls in flight of a whole rolling restart would use up the budget, and then fail.
TEST_F(LoadControlTest, TheFirstServerThatDrainsTakesNothingFromTheBudget) {
  Fail(FailureKind::kDraining);
  EXPECT_TRUE(load_.AllowsRetry());
  EXPECT_TRUE(load_.Admit());
}

TEST_F(LoadControlTest, ARetryThatMeetsAServerThatDrainsTakesFromTheBudget) {
  Fail(FailureKind::kDraining, {}, /*attempts=*/2);
  EXPECT_FALSE(load_.AllowsRetry());
  EXPECT_TRUE(load_.Admit());
}

TEST_F(LoadControlTest, FortyNineCallsThatLoseTheirConnectionTogetherAreAllRetried) {
  for (int i = 0; i < 49; ++i) load_.RecordFailure(FailureKind::kUnavailable, {}, 1);
  EXPECT_TRUE(load_.AllowsRetry());
}

TEST_F(LoadControlTest, AServerThatForbidsRetriesTakesFromTheBudget) {
  Fail(FailureKind::kRejected, Milliseconds(-1));
  EXPECT_FALSE(load_.AllowsRetry());
}

TEST_F(LoadControlTest, WithoutThrottlingEveryRequestIsAdmitted) {
  LoadControl load(RetryPolicy(), std::nullopt, pacer_);
  for (int i = 0; i < 1000; ++i) load.RecordFailure(FailureKind::kOverloaded, {}, 1);
  EXPECT_TRUE(load.Admit());
}

}  // namespace
}  // namespace attend::client::internal
