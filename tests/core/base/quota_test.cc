// SPDX-License-Identifier: Apache-2.0
#include "core/base/quota.h"

#include <limits>
#include <memory>
#include <string>

#include "core/base/memory_budget.h"
#include "core/base/status.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"

namespace attend {
namespace {

std::string Reason(const absl::Status& status) {
  return GetErrorInfo(status).reason;
}

QuotaLimits Requests(int64_t requests) {
  QuotaLimits limits;
  limits.requests = requests;
  return limits;
}

QuotaLimits Bytes(int64_t bytes) {
  QuotaLimits limits;
  limits.bytes = bytes;
  return limits;
}

QuotaLimits Rate(double rate) {
  QuotaLimits limits;
  limits.compute_rate = rate;
  return limits;
}

TEST(Quota, LimitsNothingByDefault) {
  Quota quota{QuotaLimits()};
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(quota.CheckRoom().ok());
    EXPECT_TRUE(quota.Enter(int64_t{1} << 40).ok());
    EXPECT_TRUE(quota.Spend(1000).ok());
  }
  EXPECT_EQ(quota.use().requests, 100);
  EXPECT_EQ(quota.use().computed_seconds, 100'000);
  EXPECT_EQ(quota.use().refused, 0);
}

TEST(Quota, LimitsRequestsInFlight) {
  Quota quota(Requests(2));
  ASSERT_TRUE(quota.Enter(1).ok());
  ASSERT_TRUE(quota.Enter(1).ok());
  EXPECT_EQ(Reason(quota.CheckRoom()), "QUOTA_REQUESTS");
  const absl::Status refused = quota.Enter(1);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Reason(refused), "QUOTA_REQUESTS");
  EXPECT_GT(GetRetryPushback(refused), absl::ZeroDuration());
  EXPECT_EQ(quota.use().requests, 2);
  EXPECT_EQ(quota.use().bytes, 2);
  EXPECT_EQ(quota.use().refused, 2);
  quota.Leave(1);
  EXPECT_TRUE(quota.CheckRoom().ok());
  EXPECT_TRUE(quota.Enter(1).ok());
}

TEST(Quota, CountsNoRefusalOfWhoWaits) {
  Quota quota(Requests(1));
  EXPECT_TRUE(quota.HasRoom(1));
  ASSERT_TRUE(quota.Enter(1).ok());
  EXPECT_FALSE(quota.HasRoom(1));
  EXPECT_EQ(quota.use().refused, 0);
}

TEST(Quota, HasRoomForAsManyBytesAsAreLeft) {
  Quota quota(Bytes(100));
  ASSERT_TRUE(quota.Enter(60).ok());
  EXPECT_TRUE(quota.HasRoom(40));
  EXPECT_FALSE(quota.HasRoom(41));
  EXPECT_EQ(quota.use().bytes, 60);
}

TEST(Quota, LimitsTheMemoryOfRequestsTogether) {
  Quota quota(Bytes(100));
  ASSERT_TRUE(quota.Enter(60).ok());
  EXPECT_EQ(Reason(quota.Enter(41)), "QUOTA_MEMORY");
  ASSERT_TRUE(quota.Enter(30).ok());
  EXPECT_EQ(Reason(quota.Grow(11, 30)), "QUOTA_MEMORY");
  ASSERT_TRUE(quota.Grow(10, 30).ok());
  EXPECT_EQ(Reason(quota.CheckRoom()), "QUOTA_MEMORY");
  quota.Shrink(5);
  EXPECT_TRUE(quota.CheckRoom().ok());
  quota.Leave(35);
  quota.Leave(60);
  EXPECT_EQ(quota.use().bytes, 0);
  EXPECT_EQ(quota.use().requests, 0);
}

TEST(Quota, NeverAsksToRetryWhatWillNeverFit) {
  Quota quota(Bytes(100));
  for (const absl::Status& status :
       {quota.Enter(101), quota.Grow(41, 60), quota.Enter(std::numeric_limits<int64_t>::max())}) {
    EXPECT_EQ(Reason(status), "TOO_LARGE");
    EXPECT_LT(GetRetryPushback(status), absl::ZeroDuration());
  }
}

TEST(Quota, LimitsPredictedTimePerSecond) {
  FakeClock clock;
  Quota quota(Rate(0.5), clock);
  // What a second earns may be spent at once, and the last request may go into debt.
  ASSERT_TRUE(quota.Spend(0.4).ok());
  ASSERT_TRUE(quota.Spend(1.1).ok());
  const absl::Status refused = quota.Spend(0.001);
  EXPECT_EQ(Reason(refused), "QUOTA_COMPUTE");
  EXPECT_EQ(GetRetryPushback(refused), absl::Seconds(2));  // a debt of a second
  EXPECT_EQ(Reason(quota.CheckRoom()), "QUOTA_COMPUTE");
  clock.Advance(absl::Seconds(1.9));
  EXPECT_EQ(Reason(quota.Spend(0.001)), "QUOTA_COMPUTE");
  clock.Advance(absl::Seconds(0.2));
  EXPECT_TRUE(quota.Spend(0.001).ok());
}

TEST(Quota, DoesNotSaveUpTimeBeyondASecondsWorth) {
  FakeClock clock;
  Quota quota(Rate(0.5), clock);
  clock.Advance(absl::Hours(1));
  ASSERT_TRUE(quota.Spend(0.5).ok());
  EXPECT_FALSE(quota.Spend(0.001).ok());
}

TEST(Quota, RefundsWhatWasNotComputed) {
  FakeClock clock;
  Quota quota(Rate(0.5), clock);
  ASSERT_TRUE(quota.Spend(3).ok());
  quota.Refund(3);
  EXPECT_EQ(quota.use().computed_seconds, 0);
  EXPECT_TRUE(quota.Spend(0.5).ok());
  EXPECT_FALSE(quota.Spend(0.5).ok());
}

TEST(Quota, KeepsWhatIsHeldWhenLimitsChange) {
  Quota quota(Requests(10));
  ASSERT_TRUE(quota.Enter(7).ok());
  ASSERT_TRUE(quota.Enter(7).ok());
  quota.SetLimits(Requests(1));
  EXPECT_EQ(Reason(quota.Enter(7)), "QUOTA_REQUESTS");
  EXPECT_EQ(quota.use().requests, 2);
  quota.SetLimits(Requests(3));
  EXPECT_TRUE(quota.Enter(7).ok());
}

TEST(Quota, CountsEachChargeOfABudgetAsARequest) {
  MemoryBudget budget(100);
  const auto quota = std::make_shared<Quota>(Bytes(80));
  {
    MemoryCharge charge = *budget.Charge(30, kSharedCaller, quota);
    ASSERT_TRUE(charge.Grow(20).ok());
    EXPECT_EQ(Reason(charge.Grow(31)), "TOO_LARGE");
    EXPECT_EQ(Reason(budget.Charge(31, kSharedCaller, quota).status()), "QUOTA_MEMORY");
    MemoryCharge moved = std::move(charge);
    EXPECT_EQ(quota->use().requests, 1);
    EXPECT_EQ(quota->use().bytes, 50);
    moved.Shrink(20);
    EXPECT_EQ(quota->use().bytes, 30);
    moved = *budget.Charge(10, kSharedCaller, quota);
    EXPECT_EQ(quota->use().requests, 1);
    EXPECT_EQ(quota->use().bytes, 10);
  }
  EXPECT_EQ(quota->use().requests, 0);
  EXPECT_EQ(quota->use().bytes, 0);
}

TEST(Quota, GivesBackWhatTheBudgetThenRefuses) {
  MemoryBudget budget(100);
  const auto quota = std::make_shared<Quota>(QuotaLimits());
  MemoryCharge charge = *budget.Charge(60, kSharedCaller, quota);
  EXPECT_EQ(Reason(budget.Charge(50, kSharedCaller, quota).status()), "MEMORY");
  EXPECT_EQ(Reason(charge.Grow(41)), "TOO_LARGE");
  EXPECT_EQ(quota->use().requests, 1);
  EXPECT_EQ(quota->use().bytes, 60);
}

}  // namespace
}  // namespace attend
