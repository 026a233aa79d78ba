// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/refusal.h"

#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(RefusalTest, NamesTheBoundThatRefused) {
  using absl::StatusCode;
  EXPECT_EQ(FindRefusal(StatusCode::kResourceExhausted, "QUEUE_FULL"), Refusal::kQueueFull);
  EXPECT_EQ(FindRefusal(StatusCode::kResourceExhausted, "CALLER_CALLS"), Refusal::kCallerCalls);
  EXPECT_EQ(FindRefusal(StatusCode::kNotFound, "UNKNOWN_LAYER"), Refusal::kUnknownLayer);
  EXPECT_EQ(FindRefusal(StatusCode::kInvalidArgument, "DUPLICATE_ID"), Refusal::kInvalidArgument);
  EXPECT_STREQ(kRefusalNames[Index(Refusal::kDeadlineTooShort)], "deadline_too_short");
  EXPECT_STREQ(kRefusalNames[Index(Refusal::kOther)], "other");
}

TEST(RefusalTest, IsNoneWhereNothingWasRefused) {
  for (const absl::StatusCode code :
       {absl::StatusCode::kOk, absl::StatusCode::kCancelled, absl::StatusCode::kInternal}) {
    EXPECT_EQ(FindRefusal(code, "QUEUE_FULL"), std::nullopt);
  }
}

TEST(RefusalTest, IsOtherForAReasonThatTheTableDoesNotHave) {
  EXPECT_EQ(FindRefusal(absl::StatusCode::kUnavailable, "NEW"), Refusal::kOther);
}

}  // namespace
}  // namespace attend
