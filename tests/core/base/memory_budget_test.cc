// SPDX-License-Identifier: Apache-2.0
#include "core/base/memory_budget.h"

#include <atomic>
#include <limits>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"

namespace attend {
namespace {

TEST(MemoryBudget, GivesBackWhatWasCharged) {
  MemoryBudget budget(100);
  {
    MemoryCharge charge = *budget.Charge(60);
    EXPECT_EQ(budget.used_bytes(), 60);
    EXPECT_TRUE(charge.Grow(40).ok());
    EXPECT_EQ(charge.bytes(), 100);
    EXPECT_EQ(budget.used_bytes(), 100);
  }
  EXPECT_EQ(budget.used_bytes(), 0);
}

TEST(MemoryBudget, AsksToRetryWhatDoesNotFitNow) {
  MemoryBudget budget(100);
  MemoryCharge held = *budget.Charge(60);
  const absl::Status status = budget.Charge(41).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(status).reason, "MEMORY");
  EXPECT_GT(GetRetryPushback(status), absl::ZeroDuration());
  EXPECT_EQ(budget.used_bytes(), 60);
  EXPECT_TRUE(budget.Charge(40).ok());
}

TEST(MemoryBudget, TellsNeverToRetryWhatWillNeverFit) {
  MemoryBudget budget(100);
  const absl::Status status = budget.Charge(101).status();
  EXPECT_EQ(GetErrorInfo(status).reason, "TOO_LARGE");
  EXPECT_LT(GetRetryPushback(status), absl::ZeroDuration());

  MemoryCharge charge = *budget.Charge(60);
  const absl::Status growth = charge.Grow(41);  // beside what the request holds
  EXPECT_EQ(GetErrorInfo(growth).reason, "TOO_LARGE");
  EXPECT_EQ(charge.bytes(), 60);
  EXPECT_EQ(budget.used_bytes(), 60);
  EXPECT_TRUE(charge.Grow(40).ok());
}

TEST(MemoryBudget, DoesNotOverflow) {
  MemoryBudget budget(100);
  MemoryCharge charge = *budget.Charge(60);
  EXPECT_FALSE(budget.Charge(std::numeric_limits<int64_t>::max()).ok());
  EXPECT_FALSE(charge.Grow(std::numeric_limits<int64_t>::max()).ok());
}

TEST(MemoryBudget, MovesWithTheCharge) {
  MemoryBudget budget(100);
  MemoryCharge first = *budget.Charge(10);
  MemoryCharge second = *budget.Charge(20);
  second = std::move(first);
  EXPECT_EQ(budget.used_bytes(), 10);
  const MemoryCharge third(std::move(second));
  EXPECT_EQ(third.bytes(), 10);
  EXPECT_EQ(budget.used_bytes(), 10);
}

TEST(MemoryBudget, TakesBackPartOfACharge) {
  MemoryBudget budget(100);
  MemoryCharge charge = *budget.Charge(60);
  charge.Shrink(25);
  EXPECT_EQ(charge.bytes(), 35);
  EXPECT_EQ(budget.used_bytes(), 35);
  EXPECT_TRUE(charge.Grow(65).ok());
}

TEST(MemoryBudget, LeavesToRequestsWhatIsNotReserved) {
  MemoryBudget budget(100);
  budget.Reserve(30);
  EXPECT_EQ(budget.request_bytes(), 70);
  EXPECT_EQ(budget.used_bytes(), 0);
  const absl::Status never = budget.Charge(71).status();
  EXPECT_EQ(GetErrorInfo(never).reason, "TOO_LARGE");
  EXPECT_NE(never.message().find("the 70 bytes"), never.message().npos) << never;
  MemoryCharge charge = *budget.Charge(70);
  EXPECT_EQ(GetErrorInfo(budget.Charge(1).status()).reason, "MEMORY");
}

TEST(MemoryBudget, ReservesWhileRequestsHoldMemoryAndRefusesUntilTheyGiveItBack) {
  MemoryBudget budget(100);
  MemoryCharge charge = *budget.Charge(60);
  budget.Reserve(70);
  EXPECT_EQ(GetErrorInfo(budget.Charge(10).status()).reason, "MEMORY");
  charge = MemoryCharge();
  EXPECT_TRUE(budget.Charge(30).ok());
  budget.Reserve(1000);
  EXPECT_EQ(budget.request_bytes(), 0);
}

TEST(MemoryBudget, IsOutlivedByItsCharges) {
  std::optional<MemoryBudget> budget(100);
  MemoryCharge charge = *budget->Charge(60);
  budget.reset();
  EXPECT_TRUE(charge.Grow(40).ok());
  EXPECT_FALSE(charge.Grow(1).ok());
}

constexpr int64_t kNoShare = std::numeric_limits<int64_t>::max();

TEST(MemoryBudget, RefusesACallerThatHoldsItsShareAndServesOthers) {
  MemoryBudget budget(100, 50);
  MemoryCharge first = *budget.Charge(40, 1);
  EXPECT_TRUE(first.Grow(10).ok());
  const absl::Status status = budget.Charge(1, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(status).reason, "CALLER_MEMORY");
  EXPECT_GT(GetRetryPushback(status), absl::ZeroDuration());
  EXPECT_EQ(GetErrorInfo(budget.CheckRoom(1)).reason, "CALLER_MEMORY");
  EXPECT_TRUE(budget.CheckRoom(2).ok());
  EXPECT_TRUE(budget.Charge(50, 2).ok());
  EXPECT_TRUE(budget.Charge(50).ok());
  first.Shrink(10);
  EXPECT_TRUE(budget.Charge(10, 1).ok());
}

TEST(MemoryBudget, LetsOneRequestExceedTheShareWhereItsCallerHoldsNothingElse) {
  MemoryBudget budget(100, 50);
  {
    MemoryCharge alone = *budget.Charge(70, 1);
    EXPECT_TRUE(alone.Grow(30).ok());
  }
  const MemoryCharge small = *budget.Charge(1, 1);
  EXPECT_EQ(GetErrorInfo(budget.Charge(70, 1).status()).reason, "CALLER_MEMORY");
  MemoryCharge second = *budget.Charge(1, 1);
  EXPECT_EQ(GetErrorInfo(second.Grow(50)).reason, "CALLER_MEMORY");
  EXPECT_EQ(budget.used_bytes(), 2);
}

TEST(MemoryBudget, LeavesTheShareAsItWasWhereTheBudgetRefuses) {
  MemoryBudget budget(100, 60);
  const MemoryCharge other = *budget.Charge(60, 2);
  EXPECT_EQ(GetErrorInfo(budget.Charge(50, 1).status()).reason, "MEMORY");
  const MemoryCharge own = *budget.Charge(40, 1);
  EXPECT_EQ(own.caller(), 1u);
}

TEST(MemoryBudget, GivesTheShareBackAfterItsEnd) {
  std::optional<MemoryBudget> budget(std::in_place, 100, 50);
  MemoryCharge charge = *budget->Charge(50, 3);
  MemoryCharge moved = std::move(charge);
  budget.reset();
  moved.Shrink(20);
  EXPECT_TRUE(moved.Grow(20).ok());
}

TEST(MemoryBudget, ChecksForRoomWithoutTakingIt) {
  MemoryBudget budget(100);
  EXPECT_TRUE(budget.CheckRoom().ok());
  EXPECT_EQ(budget.used_bytes(), 0);
  const MemoryCharge all = *budget.Charge(100);
  EXPECT_EQ(GetErrorInfo(budget.CheckRoom()).reason, "MEMORY");
}

TEST(MemoryBudget, HasRoomForWhatCouldBeCharged) {
  MemoryBudget budget(100, 50);
  EXPECT_TRUE(budget.HasRoom(100, 1));  // alone it may exceed the share
  EXPECT_FALSE(budget.HasRoom(101, 1));
  MemoryCharge own = *budget.Charge(30, 1);
  EXPECT_TRUE(budget.HasRoom(20, 1));
  EXPECT_FALSE(budget.HasRoom(21, 1));
  EXPECT_FALSE(budget.HasRoom(60, 1));
  const MemoryCharge other = *budget.Charge(45, 2);
  EXPECT_TRUE(budget.HasRoom(25, 3));
  EXPECT_FALSE(budget.HasRoom(26, 3));
  own.Shrink(30);
  EXPECT_TRUE(budget.HasRoom(55, 1));
  EXPECT_EQ(budget.used_bytes(), 45);
}

TEST(MemoryBudget, TellsWhenTheMissingBytesShouldBeGivenBack) {
  FakeClock clock;
  MemoryBudget budget(1000, kNoShare, clock);
  MemoryCharge held = *budget.Charge(1000);
  const auto pushback = [&](int64_t bytes) {
    return GetRetryPushback(budget.Charge(bytes).status());
  };
  const absl::Duration unknown = pushback(100);
  EXPECT_EQ(unknown, absl::Milliseconds(50));
  clock.Advance(absl::Milliseconds(100));
  held.Shrink(100);  // 1,000 bytes per second
  EXPECT_EQ(pushback(600), absl::Milliseconds(500));
  EXPECT_EQ(pushback(200), absl::Milliseconds(100));
  EXPECT_EQ(pushback(101), absl::Milliseconds(10)) << "not less";
  clock.Advance(absl::Milliseconds(200));
  EXPECT_EQ(pushback(200), absl::Seconds(2)) << "nothing was given back, and it is not more";
  clock.Advance(absl::Seconds(2));
  EXPECT_EQ(pushback(200), unknown) << "nobody asked for longer than a second";
}

TEST(MemoryBudget, IsNeverExceededByManyThreads) {
  MemoryBudget budget(1000);
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5000; ++i) {
        absl::StatusOr<MemoryCharge> charge = budget.Charge(300 + 7 * t);
        if (charge.ok()) (void)charge->Grow(50);
        if (budget.used_bytes() > 1000) exceeded = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(budget.used_bytes(), 0);
}

}  // namespace
}  // namespace attend
