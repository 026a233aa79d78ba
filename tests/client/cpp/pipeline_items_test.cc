// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/pipeline_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <vector>

#include "attend/error.h"

namespace attend::client::internal {
namespace {

using absl::Seconds;
using testing::ElementsAre;

constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();

// A table of requests of one byte, in a window of three.
class PipelineItemsTest : public testing::Test {
 protected:
  explicit PipelineItemsTest(uint64_t first_id = 1) : items_(first_id, window_) {}

  uint64_t Add(absl::Duration deadline) {
    EXPECT_EQ(window_.Take(1), absl::OkStatus());
    PipelineItem item;
    const grpc::Slice byte("a");
    item.request = std::make_shared<const Prepared>(Prepared{"", {}, grpc::ByteBuffer(&byte, 1)});
    item.deadline = deadline;
    return items_.Add(std::move(item));
  }
  // Sends everything; returns the ids, those of cancels as negative numbers.
  std::vector<int64_t> Send() {
    std::vector<int64_t> ids;
    while (const auto message = items_.NextToSend()) {
      const auto id = static_cast<int64_t>(message->id);
      ids.push_back(message->item == nullptr ? -id : id);
    }
    return ids;
  }
  std::vector<absl::StatusCode> Failed() {
    std::vector<absl::StatusCode> codes;
    for (const FailedItem& failed : items_.TakeFailed()) codes.push_back(failed.status.code());
    return codes;
  }
  size_t Room() {
    size_t room = 0;
    while (window_.Take(1).ok()) ++room;
    for (size_t i = 0; i < room; ++i) window_.Return(1);
    return room;
  }

  Window window_{3, 100};
  PipelineItems items_;
};

TEST_F(PipelineItemsTest, SendsInTheOrderOfArrivalAndKeepsRoomUntilTheAnswer) {
  const uint64_t first = Add(Seconds(9)), second = Add(Seconds(8));
  EXPECT_THAT(Send(), ElementsAre(first, second));
  EXPECT_TRUE(items_.IsSent(first));
  EXPECT_EQ(items_.Find(second)->attempts, 1);
  EXPECT_EQ(Room(), 1u);
  EXPECT_TRUE(items_.Remove(first).has_value());
  EXPECT_FALSE(items_.IsSent(first));
  EXPECT_EQ(Room(), 2u);
  EXPECT_EQ(items_.NextTime(), Seconds(8));
  items_.Remove(second);
  EXPECT_TRUE(items_.idle());
  EXPECT_EQ(items_.NextTime(), absl::InfiniteDuration());
}

TEST_F(PipelineItemsTest, ARequestThatIsCancelledBeforeItIsSentIsNeverSent) {
  const uint64_t first = Add(Seconds(9)), second = Add(Seconds(9));
  items_.Cancel(first);
  EXPECT_THAT(Failed(), ElementsAre(absl::StatusCode::kCancelled));
  EXPECT_EQ(Room(), 2u);
  EXPECT_THAT(Send(), ElementsAre(second));
}

TEST_F(PipelineItemsTest, ARequestThatIsCancelledAfterItWasSentKeepsItsRoomUntilTheAnswer) {
  const uint64_t id = Add(Seconds(9));
  Send();
  items_.Cancel(id);
  items_.Cancel(id);
  EXPECT_THAT(Failed(), ElementsAre(absl::StatusCode::kCancelled));
  EXPECT_FALSE(items_.idle());
  EXPECT_THAT(Send(), ElementsAre(-static_cast<int64_t>(id)));
  EXPECT_TRUE(items_.idle());
  EXPECT_EQ(Room(), 2u);
  EXPECT_EQ(items_.Find(id), nullptr);
  EXPECT_FALSE(items_.Remove(id).has_value());
  EXPECT_EQ(Room(), 3u);
}

TEST_F(PipelineItemsTest, ACancelThatTheAnswerOvertakesIsNotSent) {
  const uint64_t id = Add(Seconds(9));
  Send();
  items_.Cancel(id);
  EXPECT_FALSE(items_.Remove(id).has_value());
  EXPECT_THAT(Send(), ElementsAre());
}

TEST_F(PipelineItemsTest, CancelsAreSentBeforeRequests) {
  const uint64_t first = Add(Seconds(9));
  Send();
  const uint64_t second = Add(Seconds(9));
  items_.Cancel(first);
  EXPECT_THAT(Send(), ElementsAre(-static_cast<int64_t>(first), second));
}

TEST_F(PipelineItemsTest, EachExpiresAtItsDeadline) {
  const uint64_t sent = Add(Seconds(3));
  Send();
  Add(Seconds(2));  // in the queue
  const uint64_t later = Add(Seconds(5));
  EXPECT_EQ(items_.NextTime(), Seconds(2));
  items_.AdvanceTo(Seconds(1));
  EXPECT_THAT(Failed(), ElementsAre());
  items_.AdvanceTo(Seconds(4));
  EXPECT_THAT(Failed(), ElementsAre(absl::StatusCode::kDeadlineExceeded,
                                    absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(Room(), 1u);  // the server still has the one that was sent
  EXPECT_THAT(Send(), ElementsAre(later));
  EXPECT_FALSE(items_.Remove(sent).has_value());
  EXPECT_EQ(Room(), 2u);
}

TEST_F(PipelineItemsTest, SendsAgainWhenItIsTime) {
  const uint64_t id = Add(Seconds(9));
  Send();
  items_.SendAgain(id, Seconds(4));
  EXPECT_FALSE(items_.IsSent(id));  // an answer would be one too many
  EXPECT_EQ(Room(), 2u);
  EXPECT_EQ(items_.NextTime(), Seconds(4));
  items_.AdvanceTo(Seconds(4));
  EXPECT_EQ(items_.NextTime(), Seconds(9));
  EXPECT_THAT(Send(), ElementsAre(id));
  EXPECT_EQ(items_.Find(id)->attempts, 2);
}

TEST_F(PipelineItemsTest, OneThatWaitsToBeSentAgainCanBeCancelled) {
  const uint64_t id = Add(Seconds(9));
  Send();
  items_.SendAgain(id, Seconds(4));
  items_.Cancel(id);
  const std::vector<FailedItem> failed = items_.TakeFailed();
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(GetErrorDetails(failed[0].status).attempts, 1);
  items_.AdvanceTo(Seconds(10));
  EXPECT_THAT(Send(), ElementsAre());
  EXPECT_EQ(Room(), 3u);
}

TEST_F(PipelineItemsTest, FailsEverythingAtTheEndOfTheStream) {
  const uint64_t cancelled = Add(Seconds(9));
  Send();
  items_.Cancel(cancelled);
  Failed();
  Add(Seconds(9));
  Send();
  Add(Seconds(9));
  items_.FailAll(absl::UnavailableError("gone"));
  EXPECT_THAT(Failed(),
              ElementsAre(absl::StatusCode::kUnavailable, absl::StatusCode::kUnavailable));
  EXPECT_TRUE(items_.idle());
  EXPECT_EQ(Room(), 3u);
  EXPECT_THAT(Send(), ElementsAre());
  EXPECT_EQ(items_.NextTime(), absl::InfiniteDuration());
}

class LastIdsTest : public PipelineItemsTest {
 protected:
  LastIdsTest() : PipelineItemsTest(kLast) {}
};

TEST_F(LastIdsTest, IdsWrapToZero) {
  EXPECT_EQ(Add(Seconds(1)), kLast);
  EXPECT_EQ(Add(Seconds(1)), 0u);
  EXPECT_EQ(Add(Seconds(1)), 1u);
}

}  // namespace
}  // namespace attend::client::internal
