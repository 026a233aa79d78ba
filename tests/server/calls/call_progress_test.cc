// SPDX-License-Identifier: Apache-2.0
#include "server/calls/call_progress.h"

#include <cstdint>
#include <memory>

#include "gtest/gtest.h"
#include "server/net/upload_meter.h"

namespace attend {
namespace {

constexpr int64_t kMany = CallProgress::kMinBytes + 1;

class CallProgressTest : public testing::Test {
 protected:
  CallProgressTest() {
    progress_.SetMeter(std::make_shared<UploadMeter>([this] { return received_; }));
  }

  int64_t received_ = 0;
  CallProgress progress_;
};

TEST_F(CallProgressTest, StallsWhenAMessageOfWhichBytesHaveComeIsUnderWayForTwoLooks) {
  progress_.BeginRead();
  EXPECT_FALSE(progress_.IsStalled());
  EXPECT_FALSE(progress_.IsStalled()) << "it is idle";
  received_ += kMany;
  EXPECT_FALSE(progress_.IsStalled()) << "the bytes may have come just now";
  EXPECT_TRUE(progress_.IsStalled());
  progress_.EndRead(kMany);
  EXPECT_FALSE(progress_.IsStalled());
}

TEST_F(CallProgressTest, DoesNotStallWhileFewBytesHaveCome) {
  progress_.BeginRead();
  received_ += CallProgress::kMinBytes;
  EXPECT_FALSE(progress_.IsStalled());
  EXPECT_FALSE(progress_.IsStalled());
}

TEST_F(CallProgressTest, DoesNotStallWhileOneMessageFollowsAnother) {
  for (int i = 0; i < 10; ++i) {
    progress_.BeginRead();
    received_ += 2 * kMany;  // the next one has begun, too
    EXPECT_FALSE(progress_.IsStalled()) << i;
    progress_.EndRead(kMany);
  }
}

TEST_F(CallProgressTest, StallsInTheMiddleOfAMessageThatBeganBeforeTheOneBeforeWasRead) {
  progress_.BeginRead();
  received_ += 4 * kMany;
  progress_.EndRead(kMany);
  progress_.BeginRead();
  EXPECT_FALSE(progress_.IsStalled());
  EXPECT_TRUE(progress_.IsStalled());
}

TEST_F(CallProgressTest, StallsWhenAnAnswerIsSentForTwoLooks) {
  progress_.BeginWrite();
  EXPECT_FALSE(progress_.IsStalled());
  progress_.EndWrite();
  progress_.BeginWrite();
  EXPECT_FALSE(progress_.IsStalled()) << "this is the next one";
  EXPECT_TRUE(progress_.IsStalled());
}

TEST(CallProgressWithoutMeterTest, TakesNoMessageForOneThatStalls) {
  CallProgress progress;
  progress.BeginRead();
  EXPECT_FALSE(progress.IsStalled());
  EXPECT_FALSE(progress.IsStalled());
  progress.EndRead(1);
}

}  // namespace
}  // namespace attend
