// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/retry.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "client/cpp/pacer.h"
#include "client/cpp/status.h"

namespace attend::client::internal {
namespace {

using absl::Milliseconds;

TEST(ClassifyTest, Table) {
  using absl::StatusCode;
  constexpr auto kExhausted = StatusCode::kResourceExhausted;
  const std::optional<absl::Duration> none;
  const std::string reset = "Received RST_STREAM with error code 11";
  const struct {
    StatusCode code;
    std::string message;
    std::string domain;
    std::optional<absl::Duration> pushback;
    FailureKind kind;
  } cases[] = {
      {StatusCode::kUnavailable, "", "", none, FailureKind::kUnavailable},
      // What HAProxy and nginx make of a server that is killed while it answers.
      {StatusCode::kUnknown, "Stream removed", "", none, FailureKind::kUnavailable},
      {StatusCode::kInternal, "Received RST_STREAM with error code 2", "", none,
       FailureKind::kUnavailable},
      {StatusCode::kUnknown, "Stream removed", "attend", none, FailureKind::kRejected},
      {StatusCode::kInternal, "Received RST_STREAM with error code 1", "", none,
       FailureKind::kRejected},
      {StatusCode::kUnavailable, "", "attend", Milliseconds(5), FailureKind::kUnavailable},
      // The queue is full.
      {kExhausted, "", "attend", Milliseconds(50), FailureKind::kOverloaded},
      {kExhausted, "", "", Milliseconds(50), FailureKind::kOverloaded},
      {kExhausted, "", "attend", Milliseconds(-1), FailureKind::kOverloaded},
      // The message is too large, as the server or gRPC says it.
      {kExhausted, "", "attend", none, FailureKind::kRejected},
      {kExhausted, "Received message larger than max (5 vs. 4)", "", none, FailureKind::kRejected},
      // The stream was reset for load; a server's own error cannot look like it.
      {kExhausted, reset, "", none, FailureKind::kOverloaded},
      {kExhausted, reset, "attend", none, FailureKind::kRejected},
      {kExhausted, "Received RST_STREAM with error code 2", "", none, FailureKind::kRejected},
      {StatusCode::kDeadlineExceeded, "", "attend", none, FailureKind::kExpired},
      {StatusCode::kCancelled, "", "", none, FailureKind::kExpired},
      {StatusCode::kInvalidArgument, "", "attend", none, FailureKind::kRejected},
      {StatusCode::kInternal, reset, "", Milliseconds(5), FailureKind::kRejected},
      {StatusCode::kUnknown, "", "", none, FailureKind::kRejected},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << c.code << " " << c.message << " " << c.domain);
    const ErrorDetails details = {.domain = c.domain, .pushback = c.pushback};
    EXPECT_EQ(Classify(c.code, c.message, details), c.kind);
    EXPECT_EQ(IsOverload(WithDetails(c.code, c.message, details)),
              c.kind == FailureKind::kOverloaded);
  }
}

Failure Unavailable(int attempts) {
  return {FailureKind::kUnavailable, {}, attempts, absl::Seconds(30), true};
}

TEST(RetryDelayTest, BacksOffExponentiallyUpToTheMaximum) {
  const RetryPolicy policy = {.max_attempts = 100};
  absl::Duration expected = Milliseconds(50);
  for (int attempts = 1; attempts < 20; ++attempts) {
    EXPECT_EQ(RetryDelay(policy, Unavailable(attempts), 0.5), std::min(expected, absl::Seconds(2)));
    expected *= 2;
  }
}

TEST(RetryDelayTest, Table) {
  constexpr auto kUnavailable = FailureKind::kUnavailable;
  constexpr auto kOverloaded = FailureKind::kOverloaded;
  const std::optional<absl::Duration> none;
  const struct {
    const char* what;
    Failure failure;
    double uniform;
    std::optional<absl::Duration> delay;
  } cases[] = {
      {"spread, least", {kUnavailable, none, 1, absl::Seconds(30), true}, 0, Milliseconds(40)},
      {"spread, most", {kUnavailable, none, 1, absl::Seconds(30), true}, 1, Milliseconds(60)},
      {"a reset without pushback",
       {kOverloaded, none, 1, absl::Seconds(30), true},
       0.5,
       Milliseconds(50)},
      {"pushback replaces the backoff",
       {kOverloaded, Milliseconds(700), 3, absl::Seconds(30), true},
       0,
       Milliseconds(700)},
      {"pushback is never undercut",
       {kOverloaded, Milliseconds(700), 3, absl::Seconds(30), true},
       1,
       Milliseconds(840)},
      {"pushback 0",
       {kUnavailable, Milliseconds(0), 1, absl::Seconds(30), true},
       0.5,
       Milliseconds(0)},
      {"negative pushback", {kOverloaded, Milliseconds(-1), 1, absl::Seconds(30), true}, 0.5, none},
      {"negative pushback",
       {kUnavailable, Milliseconds(-1), 1, absl::Seconds(30), true},
       0.5,
       none},
      {"rejected",
       {FailureKind::kRejected, Milliseconds(1), 1, absl::Seconds(30), true},
       0.5,
       none},
      {"expired", {FailureKind::kExpired, Milliseconds(1), 1, absl::Seconds(30), true}, 0.5, none},
      {"draining",
       {FailureKind::kDraining, none, 1, absl::Seconds(30), true},
       0.5,
       Milliseconds(50)},
      {"the last attempt but one",
       {kUnavailable, none, 4, absl::Seconds(30), true},
       0.5,
       Milliseconds(400)},
      {"the last attempt", {kUnavailable, none, 5, absl::Seconds(30), true}, 0.5, none},
      {"no budget", {kUnavailable, none, 1, absl::Seconds(30), false}, 0.5, none},
      {"does not fit", {kUnavailable, none, 1, Milliseconds(50), true}, 0.5, none},
      {"just fits", {kUnavailable, none, 1, Milliseconds(51), true}, 0.5, Milliseconds(50)},
      {"a pushback of centuries",
       {kOverloaded, Milliseconds(INT64_MAX), 1, absl::Seconds(30), true},
       1,
       none},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(RetryDelay(RetryPolicy(), c.failure, c.uniform), c.delay) << c.what;
  }
}

// Calls made for `requests` requests of at most five attempts each, of which the attempts fail
// where `fails(n)`, n counting them.
template <typename Fails>
int CallsMade(int requests, Fails fails) {
  RetryBudget budget(10, 0.1);
  int calls = 0;
  for (int request = 0; request < requests; ++request) {
    for (int attempt = 1; attempt <= 5; ++attempt) {
      if (!fails(calls++)) {
        budget.RecordSuccess();
        break;
      }
      budget.RecordFailure();
      if (!budget.AllowsRetry()) break;
    }
  }
  return calls;
}

TEST(RetryBudgetTest, AtMostElevenTenthsOfACallPerRequestWhenEverythingFails) {
  EXPECT_EQ(CallsMade(1, [](int) { return true; }), 5);
  EXPECT_EQ(CallsMade(1000, [](int) { return true; }), 1004);
}

TEST(RetryBudgetTest, AFewFailuresAreAllRetried) {
  EXPECT_EQ(CallsMade(1000, [](int call) { return call % 50 == 0; }), 1021);
}

TEST(RetryBudgetTest, HalfOfAllCallsFailing) {
  const int calls = CallsMade(10000, [](int call) { return call % 2 == 0; });
  EXPECT_LE(calls, 11000);
  EXPECT_GT(calls, 10000);
}

TEST(RetryBudgetTest, RetriesAgainAfterEnoughSuccesses) {
  RetryBudget budget(10, 0.125);
  for (int i = 0; i < 20; ++i) budget.RecordFailure();
  for (int i = 0; i < 40; ++i) {
    EXPECT_FALSE(budget.AllowsRetry()) << i;
    budget.RecordSuccess();
  }
  EXPECT_FALSE(budget.AllowsRetry());  // exactly half
  budget.RecordSuccess();
  EXPECT_TRUE(budget.AllowsRetry());
}

TEST(RetryBudgetTest, SuccessesDoNotSaveUpBeyondTheMaximum) {
  RetryBudget budget(4, 1);
  for (int i = 0; i < 100; ++i) budget.RecordSuccess();
  budget.RecordFailure();
  EXPECT_TRUE(budget.AllowsRetry());
  budget.RecordFailure();
  EXPECT_FALSE(budget.AllowsRetry());
}

TEST(RetryBudgetTest, NoTokensNeverRetry) {
  RetryBudget budget(0, 0.1);
  budget.RecordSuccess();
  EXPECT_FALSE(budget.AllowsRetry());
}

TEST(PacerTest, TheRealClockIsTheSteadyOne) {
  const auto steady = [] {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  };
  const absl::Duration before = steady();
  const absl::Duration now = Pacer::Real().Now();
  EXPECT_GE(now, before);
  EXPECT_LE(now, steady());
}

}  // namespace
}  // namespace attend::client::internal
