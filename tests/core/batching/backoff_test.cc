// SPDX-License-Identifier: Apache-2.0
#include "core/batching/backoff.h"

#include "gtest/gtest.h"
#include "tests/core/batching/times.h"

namespace attend {
namespace {

void Refuse(Backoff& backoff, uint32_t caller, Priority priority, absl::Duration pushback,
            WorkClass work_class = WorkClass::kShort) {
  backoff.OnArrival(caller, priority, work_class, kNow);
  backoff.OnRefused(caller, priority, work_class, kNow, pushback);
}

TEST(Backoff, ReadsRequestsOfCallersThatWereNotRefused) {
  Backoff backoff;
  Refuse(backoff, 3, Priority::kNormal, absl::Seconds(1));
  EXPECT_EQ(backoff.Remaining(1, kNow), absl::ZeroDuration());
  EXPECT_EQ(backoff.Remaining(1000, kNow), absl::ZeroDuration());
}

TEST(Backoff, RefusesForHalfOfThePushback) {
  Backoff backoff;
  Refuse(backoff, 3, Priority::kNormal, absl::Milliseconds(60));
  EXPECT_EQ(backoff.Remaining(3, kNow), absl::Milliseconds(30));
  EXPECT_EQ(backoff.Remaining(3, kNow + absl::Milliseconds(10)), absl::Milliseconds(20));
  EXPECT_EQ(backoff.Remaining(3, kNow + absl::Milliseconds(30)), absl::ZeroDuration());
  EXPECT_EQ(backoff.Remaining(3, kNow + absl::Hours(1)), absl::ZeroDuration());
}

TEST(Backoff, NeverRefusesForLong) {
  Backoff backoff;
  Refuse(backoff, 0, Priority::kHigh, absl::InfiniteDuration());
  EXPECT_EQ(backoff.Remaining(0, kNow), absl::Milliseconds(50));
  EXPECT_EQ(backoff.Remaining(0, kNow - absl::Hours(1)), absl::Milliseconds(50));
}

TEST(Backoff, ReadsRequestsOfACallerWhoAlsoSendsMoreUrgentOnes) {
  Backoff backoff;
  backoff.OnArrival(3, Priority::kHigh, WorkClass::kShort, kNow - absl::Seconds(9));
  Refuse(backoff, 3, Priority::kNormal, absl::Milliseconds(60));
  EXPECT_EQ(backoff.Remaining(3, kNow), absl::ZeroDuration());
  Refuse(backoff, 3, Priority::kHigh, absl::Milliseconds(60));
  EXPECT_EQ(backoff.Remaining(3, kNow), absl::Milliseconds(30));
}

TEST(Backoff, ReadsRequestsOfACallerWhoAlsoSendsShortOnes) {
  Backoff backoff;
  Refuse(backoff, 3, Priority::kNormal, absl::Milliseconds(60), WorkClass::kLong);
  EXPECT_EQ(backoff.Remaining(3, kNow), absl::Milliseconds(30));
  backoff.OnArrival(4, Priority::kNormal, WorkClass::kShort, kNow - absl::Seconds(9));
  Refuse(backoff, 4, Priority::kNormal, absl::Milliseconds(60), WorkClass::kLong);
  EXPECT_EQ(backoff.Remaining(4, kNow), absl::ZeroDuration());
}

TEST(Backoff, ForgetsThatACallerSentMoreUrgentRequests) {
  Backoff backoff;
  backoff.OnArrival(3, Priority::kHigh, WorkClass::kShort, kNow - absl::Seconds(10));
  Refuse(backoff, 3, Priority::kLow, absl::Milliseconds(60));
  EXPECT_EQ(backoff.Remaining(3, kNow), absl::Milliseconds(30));
}

}  // namespace
}  // namespace attend
