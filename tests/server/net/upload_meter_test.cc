// SPDX-License-Identifier: Apache-2.0
#include "server/net/upload_meter.h"

#include "gtest/gtest.h"

namespace attend {
namespace {

constexpr int64_t kMiB = 1 << 20;

class UploadMeterTest : public testing::Test {
 protected:
  int64_t received_ = 0;
  UploadMeter meter_{[this] { return received_; }};
};

TEST_F(UploadMeterTest, CountsWhatCameSinceAMessageBegan) {
  received_ = 7 * kMiB;
  EXPECT_EQ(meter_.UnfinishedBytes(), 0) << "no message is under way";
  const uint64_t message = meter_.Begin();
  EXPECT_EQ(meter_.UnfinishedBytes(), 0);
  received_ += 5 * kMiB;
  EXPECT_EQ(meter_.UnfinishedBytes(), 5 * kMiB);
  meter_.End(message, 5 * kMiB);
  EXPECT_EQ(meter_.UnfinishedBytes(), 0);
}

TEST_F(UploadMeterTest, DoesNotCountMessagesThatCameBesideAnUnfinishedOne) {
  meter_.Begin();
  received_ += 3 * kMiB;
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t message = meter_.Begin();
    received_ += 50'000 + 50'000 / 16'384 * 9 + 300;  // with frames and headers
    meter_.End(message, 50'000);
    meter_.UnfinishedBytes();
  }
  EXPECT_LE(meter_.UnfinishedBytes(), 3 * kMiB);
  // What was assumed too much about those hides nothing that comes later.
  received_ += 4 * kMiB;
  EXPECT_GE(meter_.UnfinishedBytes(), 4 * kMiB);
}

TEST_F(UploadMeterTest, ForgetsAMessageThatFailedWithTheLastOneThatBeganBefore) {
  const uint64_t first = meter_.Begin();
  const uint64_t second = meter_.Begin();
  received_ += 2 * kMiB;
  meter_.End(second, 0);
  EXPECT_EQ(meter_.UnfinishedBytes(), 2 * kMiB) << "nobody knows whose bytes these were";
  const uint64_t third = meter_.Begin();
  meter_.End(first, 0);
  EXPECT_EQ(meter_.UnfinishedBytes(), 0);
  meter_.End(third, 0);
}

TEST_F(UploadMeterTest, CountsWhatCameOfOneMessage) {
  received_ += kMiB;  // with the headers of its call
  const uint64_t message = meter_.Begin();
  EXPECT_EQ(meter_.BytesOf(message), kMiB);
  received_ += 2 * kMiB;
  EXPECT_EQ(meter_.BytesOf(message), 3 * kMiB);
}

TEST_F(UploadMeterTest, CountsNothingOfACallThatWasRefusedForTheNextMessage) {
  received_ += kMiB;
  meter_.Skip();
  EXPECT_EQ(meter_.BytesOf(meter_.Begin()), 0);
}

TEST_F(UploadMeterTest, CountsWhatCameOfTheNextMessageBeforeItWasAwaited) {
  const uint64_t first = meter_.Begin();
  received_ += 5 * kMiB;
  const UploadMark begins = meter_.End(first, 2 * kMiB);
  received_ += kMiB;
  const int64_t bytes = meter_.BytesOf(meter_.Begin(begins));
  EXPECT_LE(bytes, 4 * kMiB);
  EXPECT_GE(bytes, 4 * kMiB - 2 * kMiB / 64 - 2048) << "what is assumed to be around a message";
}

TEST_F(UploadMeterTest, TakesNothingForAMessageThatAnotherMayHaveLeftBehind) {
  const uint64_t idle = meter_.Begin();
  const uint64_t dropped = meter_.Begin();
  received_ += 9 * kMiB;
  meter_.End(dropped, 0);
  EXPECT_EQ(meter_.BytesOf(idle), 0);
  received_ += kMiB;
  EXPECT_EQ(meter_.BytesOf(idle), kMiB);
}

TEST_F(UploadMeterTest, HoldsNothingOnceTheConnectionHasEnded) {
  const uint64_t message = meter_.Begin();
  received_ += kMiB;
  meter_.Close();
  EXPECT_EQ(meter_.UnfinishedBytes(), 0);
  EXPECT_EQ(meter_.BytesOf(message), 0);
  meter_.End(message, 0);
  meter_.End(meter_.Begin(), 0);  // a call that its thread takes a moment later
  EXPECT_EQ(meter_.UnfinishedBytes(), 0);
}

}  // namespace
}  // namespace attend
