// SPDX-License-Identifier: Apache-2.0
#include "core/batching/admission.h"

#include <limits>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

constexpr int64_t kMaxBytes = 1000;
constexpr int64_t kMaxRequests = 10;

absl::Duration Ms(int64_t milliseconds) {
  return absl::Milliseconds(milliseconds);
}

// One executor, busy for 10 ms more; 30 ms of work are queued, 20 ms of them before the item.
Load BusyLoad() {
  Load load;
  load.queue_requests = 3;
  load.queue_bytes = 300;
  load.until_free = Ms(10);
  load.queued = Ms(30);
  load.ahead = Ms(20);
  load.batch = Ms(5);
  return load;
}

Load FullLoad() {
  Load load = BusyLoad();
  load.queue_requests = kMaxRequests;
  return load;
}

Load IdleLoad() {
  Load load = BusyLoad();
  load.executor_idle = true;
  return load;
}

Load UnknownLoad() {
  Load load = FullLoad();
  load.until_free = load.queued = load.ahead = load.batch = absl::ZeroDuration();
  return load;
}

Load HugeLoad() {
  Load load = FullLoad();
  load.queued = absl::Hours(1);
  return load;
}

Load TinyLoad() {
  Load load = FullLoad();
  load.until_free = absl::ZeroDuration();
  load.queued = absl::Nanoseconds(1);
  return load;
}

Load LongBatches() {
  Load load = BusyLoad();
  load.batch = Ms(50);
  return load;
}

struct Case {
  std::string name;
  Arrival item;  // bytes, time left, expected
  Load load = BusyLoad();
  std::string reason = "";  // reason of the refusal; empty: admitted
  absl::Duration pushback = -absl::Nanoseconds(1);
};

std::vector<Case> Cases() {
  const absl::Duration ever = absl::InfiniteDuration();
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  return {
      {"AnItemWithoutDeadlineIsAdmitted", {100, ever, Ms(10)}},
      {"NoTimeIsLeft", {100, Ms(0), Ms(10)}, IdleLoad(), "EXPIRED"},
      {"NoTimeIsLeftInAFullQueueEither", {100, Ms(-1), Ms(10)}, FullLoad(), "EXPIRED"},
      {"TooManyRequestsWait", {1, ever, Ms(10)}, FullLoad(), "QUEUE_FULL", Ms(40)},
      {"TheLastBytesFit", {700, ever, Ms(10)}},
      {"TooManyBytesWait", {701, ever, Ms(10)}, BusyLoad(), "QUEUE_FULL", Ms(40)},
      {"BytesDoNotOverflow", {kHuge, ever, Ms(10)}, BusyLoad(), "QUEUE_FULL", Ms(40)},
      {"AnUnknownWaitHasADefaultPushback", {1, ever, {}}, UnknownLoad(), "QUEUE_FULL", Ms(100)},
      {"PushbackIsNotForEver", {1, ever, {}}, HugeLoad(), "QUEUE_FULL", absl::Seconds(5)},
      {"PushbackIsNotTooShort", {1, ever, {}}, TinyLoad(), "QUEUE_FULL", Ms(1)},
      // 10 ms until free, 20 ms ahead, 10 ms its own, and a quarter more of headroom: 50 ms.
      {"TheDeadlineIsJustReached", {100, Ms(50), Ms(10)}},
      {"TheDeadlineIsJustMissed",
       {100, Ms(49), Ms(10)},
       BusyLoad(),
       "DEADLINE_UNREACHABLE",
       Ms(30)},
      {"ItEndsWithItsBatch", {100, Ms(99), Ms(10)}, LongBatches(), "DEADLINE_UNREACHABLE", Ms(30)},
      {"ItEndsWithItsBatchInTime", {100, Ms(100), Ms(10)}, LongBatches()},
      {"AnIdleExecutorTriesAnyDeadline", {100, Ms(11), Ms(10)}, IdleLoad()},
      {"NothingIsKnownOfTheItem", {100, Ms(1), Ms(0)}},
      {"LoadIsNotTheReason", {100, Ms(49), Ms(50)}},
  };
}

TEST(CheckAdmission, FollowsTheTable) {
  for (const Case& test : Cases()) {
    SCOPED_TRACE(test.name);
    const absl::Status status =
        CheckAdmission(test.item, test.load, QueueLimits{kMaxRequests, kMaxBytes});
    EXPECT_EQ(GetErrorInfo(status).reason, test.reason) << status;
    EXPECT_EQ(status.ok(), test.reason.empty());
    if (test.pushback > absl::ZeroDuration()) {
      EXPECT_EQ(GetRetryPushback(status), test.pushback);
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    } else {
      EXPECT_LT(GetRetryPushback(status), absl::ZeroDuration());
    }
  }
}

}  // namespace
}  // namespace attend
