// SPDX-License-Identifier: Apache-2.0
#include "core/batching/admission.h"

#include <string>
#include <vector>

#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/batching/times.h"

namespace attend {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kForEver = absl::InfiniteDuration();
constexpr absl::Duration kMoment = absl::Microseconds(1);

struct AdmissionCase {
  std::string name;
  Load load;                                       // standing, wait
  Arrival item;                                    // time left, expected
  std::string reason = "";                         // reason of the refusal; empty: admitted
  absl::Duration pushback = absl::ZeroDuration();  // in whole milliseconds; zero: none
  QueueLimits limits = {};
};

QueueLimits NoDelay() {
  QueueLimits limits;
  limits.target_delay = absl::ZeroDuration();
  return limits;
}

// An item that begins at once is refused by its deadline alone.
std::vector<AdmissionCase> CasesWithoutLoad() {
  return {
      {"AnItemWithoutDeadlineIsAdmitted", {false, {}}, {kForEver, Ms(10)}},
      {"NoTimeIsLeft", {false, {}}, {Ms(0), Ms(10)}, "EXPIRED"},
      {"TheDeadlineHasPassed", {false, {}}, {Ms(-1), Ms(0)}, "EXPIRED"},
      {"AnItemThatTakesNoTimeIsAdmitted", {false, {}}, {kMoment, Ms(0)}},
      // In the best case an item takes two thirds of its expected time.
      {"TheBestCaseEndsInTime", {false, {}}, {Ms(10) + kMoment, Ms(15)}},
      {"NotEvenTheBestCaseEndsInTime",
       {false, {}},
       {Ms(10) - kMoment, Ms(15)},
       "DEADLINE_TOO_SHORT"},
      {"NothingEndsInNoTime", {false, {}}, {kMoment, absl::Hours(1)}, "DEADLINE_TOO_SHORT"},
      {"AnItemWithoutEndIsAdmittedWithoutDeadline", {false, {}}, {kForEver, absl::Hours(999)}},
      // A fifth of the time to spare is asked only of an item that waits.
      {"AnIdleExecutorTriesATightDeadline", {false, {}}, {Ms(11), Ms(10)}},
      {"SoItDoesBesideAStandingQueue", {true, {}}, {Ms(11), Ms(10)}},
      {"AnItemThatBeginsAtOnceIsNeverDelayed", {true, {}}, {kForEver, Ms(10)}, "", {}, NoDelay()},
  };
}

std::vector<AdmissionCase> CasesUnderLoad() {
  return {
      {"WaitingIsNoReasonToRefuse", {false, absl::Hours(1)}, {kForEver, Ms(1)}},
      {"NoTimeIsLeftUnderLoadEither", {true, Ms(500)}, {Ms(0), Ms(10)}, "EXPIRED"},
      {"ItsOwnTimeIsTheReasonAndNotTheLoad",
       {true, Ms(500)},
       {Ms(9), Ms(15)},
       "DEADLINE_TOO_SHORT"},
      // 30 ms of waiting, 10 ms of its own, and a quarter more of headroom: 50 ms.
      {"TheDeadlineIsJustReached", {false, Ms(30)}, {Ms(50), Ms(10)}},
      {"TheDeadlineIsJustMissed",
       {false, Ms(30)},
       {Ms(50) - kMoment, Ms(10)},
       "DEADLINE_UNREACHABLE",
       Ms(30)},
      {"AStandingQueueMakesNoDifferenceToIt", {true, Ms(30)}, {Ms(50), Ms(10)}},
      {"TheDeadlineIsTheReasonBeforeTheQueue",
       {true, Ms(500)},
       {Ms(100), Ms(1)},
       "DEADLINE_UNREACHABLE",
       Ms(500)},
      // The target delay is 100 ms.
      {"AStandingQueueDelaysShortWorkNotTooLong", {true, Ms(100)}, {kForEver, Ms(1)}},
      {"AStandingQueueDelaysShortWorkTooLong",
       {true, Ms(100) + kMoment},
       {kForEver, Ms(1)},
       "QUEUE_FULL",
       Ms(100)},
      {"AQueueThatDrainsDelaysNobodyTooLong", {false, Ms(100) + kMoment}, {kForEver, Ms(1)}},
      // Longer work may wait for sixteen times its own time.
      {"AStandingQueueDelaysLongWorkNotTooLong", {true, Ms(160)}, {kForEver, Ms(10)}},
      {"AStandingQueueDelaysLongWorkTooLong",
       {true, Ms(160) + kMoment},
       {kForEver, Ms(10)},
       "QUEUE_FULL",
       Ms(160)},
      {"AFarDeadlineHelpsNotAgainstAStandingQueue",
       {true, Ms(101)},
       {absl::Hours(1), Ms(1)},
       "QUEUE_FULL",
       Ms(101)},
  };
}

std::vector<AdmissionCase> CasesOfPushback() {
  return {
      {"PushbackIsNotTooShort", {false, kMoment}, {Ms(10), Ms(10)}, "DEADLINE_UNREACHABLE", Ms(1)},
      {"PushbackIsNotForEver",
       {false, absl::Hours(1)},
       {Ms(100), Ms(1)},
       "DEADLINE_UNREACHABLE",
       absl::Seconds(5)},
      {"PushbackOfAQueueIsNotTooShort",
       {true, kMoment},
       {kForEver, Ms(0)},
       "QUEUE_FULL",
       Ms(1),
       NoDelay()},
      {"PushbackOfAQueueIsNotForEver",
       {true, absl::Hours(1)},
       {kForEver, Ms(1)},
       "QUEUE_FULL",
       absl::Seconds(5)},
  };
}

void Check(const std::vector<AdmissionCase>& cases) {
  for (const AdmissionCase& test : cases) {
    SCOPED_TRACE(test.name);
    const absl::Status status = CheckAdmission(test.item, test.load, test.limits);
    EXPECT_EQ(status.ok(), test.reason.empty()) << status;
    EXPECT_EQ(GetErrorInfo(status).reason, test.reason) << status;
    if (test.pushback > absl::ZeroDuration()) {
      EXPECT_EQ(GetRetryPushback(status), test.pushback);
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    } else {
      EXPECT_LT(GetRetryPushback(status), absl::ZeroDuration());
      EXPECT_EQ(status.code(),
                test.reason.empty() ? absl::StatusCode::kOk : absl::StatusCode::kDeadlineExceeded);
    }
  }
}

TEST(CheckAdmission, RefusesWithoutLoadWhatCannotEndInTime) {
  Check(CasesWithoutLoad());
}

TEST(CheckAdmission, RefusesUnderLoadWhatWouldWaitTooLong) {
  Check(CasesUnderLoad());
}

TEST(CheckAdmission, TellsWhenToTryAgain) {
  Check(CasesOfPushback());
}

TEST(CheckAdmission, SaysHowMuchTimeARequestNeeds) {
  const absl::Status status = CheckAdmission({Ms(20.5), Ms(60.7)}, {}, {});
  EXPECT_EQ(status.message(),
            "the request alone needs about 60ms, and its deadline leaves 20ms; allow more time");
}

TEST(CheckAdmission, SaysWhatToDoAboutABusyServer) {
  EXPECT_THAT(std::string(CheckAdmission({Ms(20), Ms(10)}, {false, Ms(30)}, {}).message()),
              HasSubstr("too busy to meet this deadline; allow more time or try another server"));
  EXPECT_THAT(std::string(CheckAdmission({kForEver, Ms(1)}, {true, Ms(500)}, {}).message()),
              HasSubstr("more work than it can do; try again later or use another server"));
}

// The errors of an item that finds no room and of one that gives up its room.
TEST(QueueFull, CarriesReasonAndBoundedPushback) {
  const struct {
    absl::Duration drain_time, pushback;
  } kCases[] = {
      {Ms(40), Ms(40)},
      {absl::ZeroDuration(), Ms(1)},
      {absl::Hours(1), absl::Seconds(5)},
      {kForEver, absl::Seconds(5)},
  };
  for (const auto& test : kCases) {
    SCOPED_TRACE(absl::FormatDuration(test.drain_time));
    for (const absl::Status& status :
         {QueueFullError(3, test.drain_time), DisplacedError(test.drain_time)}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      EXPECT_EQ(GetErrorInfo(status).reason, "QUEUE_FULL");
      EXPECT_EQ(GetRetryPushback(status), test.pushback);
    }
  }
}

TEST(QueueFull, SaysWhatHappened) {
  EXPECT_THAT(std::string(QueueFullError(3, Ms(1)).message()),
              HasSubstr("the queue is full with 3 requests"));
  EXPECT_THAT(std::string(DisplacedError(Ms(1)).message()),
              HasSubstr("gave way to one of a higher priority or of a caller with fewer requests"));
}

}  // namespace
}  // namespace attend
