// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/span_queue.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using absl::Seconds;
using testing::ElementsAre;

constexpr absl::StatusCode kOk = absl::StatusCode::kOk;
constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;

class SpanQueueTest : public testing::Test {
 protected:
  void AddSpans(int count) {
    for (int i = 0; i < count; ++i) queue_.Add(absl::StrCat(number_++), now_);
  }

  // Sends the next batch, which the collector answers with `code`. Returns its spans.
  std::vector<std::string> Send(absl::StatusCode code, int64_t rejected = 0) {
    SpanQueue::Batch batch = queue_.Take(now_);
    std::vector<std::string> spans = batch.spans;
    queue_.OnSent(std::move(batch), code, rejected, now_);
    return spans;
  }

  void ExpectStats(int64_t exported, int64_t dropped, int64_t failed) {
    EXPECT_EQ(queue_.stats().exported, exported);
    EXPECT_EQ(queue_.stats().dropped, dropped);
    EXPECT_EQ(queue_.stats().failed, failed);
  }

  SpanQueue queue_{{.max_queued = 5,
                    .max_batch = 3,
                    .max_wait = Seconds(1),
                    .min_backoff = Seconds(1),
                    .max_backoff = Seconds(30),
                    .retry_for = Seconds(100)}};
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  int number_ = 0;
};

TEST_F(SpanQueueTest, HasNothingToSendAtFirst) {
  EXPECT_EQ(queue_.due(), absl::InfiniteFuture());
  EXPECT_TRUE(queue_.empty());
}

TEST_F(SpanQueueTest, SendsABatchThatIsNotFullOnceItsOldestSpanHasWaited) {
  EXPECT_TRUE(queue_.Add("a", now_));
  EXPECT_FALSE(queue_.Add("b", now_ + Seconds(0.5)));
  EXPECT_EQ(queue_.due(), now_ + Seconds(1));
  EXPECT_THAT(Send(kOk), ElementsAre("a", "b"));
  EXPECT_EQ(queue_.due(), absl::InfiniteFuture());
  ExpectStats(2, 0, 0);
}

TEST_F(SpanQueueTest, SendsAFullBatchAtOnce) {
  AddSpans(2);
  EXPECT_GT(queue_.due(), now_);
  EXPECT_TRUE(queue_.Add("last", now_));
  EXPECT_LE(queue_.due(), now_);
}

TEST_F(SpanQueueTest, SendsTheOldestSpansAndNoMoreThanABatchHolds) {
  AddSpans(5);
  EXPECT_THAT(Send(kOk), ElementsAre("0", "1", "2"));
  EXPECT_THAT(Send(kOk), ElementsAre("3", "4"));
  ExpectStats(5, 0, 0);
}

TEST_F(SpanQueueTest, DropsTheNewestSpanWhenTheQueueIsFull) {
  AddSpans(5);
  EXPECT_FALSE(queue_.Add("new", now_));
  ExpectStats(0, 1, 0);
  EXPECT_THAT(Send(kOk), ElementsAre("0", "1", "2"));
  EXPECT_THAT(Send(kOk), ElementsAre("3", "4"));
}

TEST_F(SpanQueueTest, TriesABatchAgainBeforeOthersWhileNewSpansWait) {
  AddSpans(3);
  EXPECT_THAT(Send(kUnavailable), ElementsAre("0", "1", "2"));
  EXPECT_EQ(queue_.due(), now_ + Seconds(1));
  AddSpans(3);
  EXPECT_EQ(queue_.due(), now_ + Seconds(1)) << "a full batch does not end a backoff";
  now_ += Seconds(1);
  EXPECT_THAT(Send(kOk), ElementsAre("0", "1", "2"));
  EXPECT_LE(queue_.due(), now_);
  EXPECT_THAT(Send(kOk), ElementsAre("3", "4", "5"));
  ExpectStats(6, 0, 0);
}

TEST_F(SpanQueueTest, DoublesTheBackoffUpToItsLimitUntilABatchIsTaken) {
  AddSpans(1);
  for (const int seconds : {1, 2, 4, 8, 16, 30, 30}) {
    Send(kUnavailable);
    EXPECT_EQ(queue_.due(), now_ + Seconds(seconds));
    now_ = queue_.due();
  }
  Send(kOk);
  AddSpans(1);
  Send(kUnavailable);
  EXPECT_EQ(queue_.due(), now_ + Seconds(1));
}

TEST_F(SpanQueueTest, TriesAgainAfterFailuresThatMayPassAndNoOthers) {
  for (int code = 1; code <= 16; ++code) {
    const auto of = static_cast<absl::StatusCode>(code);
    SpanQueue queue({});
    queue.Add("a", now_);
    queue.OnSent(queue.Take(now_), of, 0, now_);
    const bool again = of == absl::StatusCode::kCancelled ||
                       of == absl::StatusCode::kDeadlineExceeded ||
                       of == absl::StatusCode::kResourceExhausted ||
                       of == absl::StatusCode::kAborted || of == absl::StatusCode::kOutOfRange ||
                       of == absl::StatusCode::kUnavailable || of == absl::StatusCode::kDataLoss;
    EXPECT_EQ(queue.empty(), !again) << code;
    EXPECT_EQ(queue.stats().failed, again ? 0 : 1) << code;
  }
}

// Otherwise a batch that the collector never takes would hold up all others.
TEST_F(SpanQueueTest, GivesABatchUpThatHasBeenTriedForLong) {
  AddSpans(5);
  while (queue_.stats().failed == 0) {
    EXPECT_THAT(Send(absl::StatusCode::kResourceExhausted), ElementsAre("0", "1", "2"));
    now_ = queue_.due();
    ASSERT_LE(now_, absl::UnixEpoch() + absl::Hours(1) + Seconds(100 + 30));
  }
  ExpectStats(0, 0, 3);
  EXPECT_THAT(Send(kOk), ElementsAre("3", "4"));
}

TEST_F(SpanQueueTest, CountsSpansThatTheCollectorRejectsAsFailed) {
  AddSpans(3);
  Send(kOk, /*rejected=*/1);
  ExpectStats(2, 0, 1);
  AddSpans(2);
  Send(kOk, /*rejected=*/99);
  ExpectStats(2, 0, 3);
  AddSpans(1);
  Send(kOk, /*rejected=*/-5);
  ExpectStats(3, 0, 3);
}

TEST_F(SpanQueueTest, GivesUpAllThatWaitsAndIsTriedAgain) {
  AddSpans(5);
  Send(kUnavailable);
  EXPECT_EQ(queue_.GiveUp(), 5);
  EXPECT_TRUE(queue_.empty());
  ExpectStats(0, 0, 5);
}

}  // namespace
}  // namespace attend
