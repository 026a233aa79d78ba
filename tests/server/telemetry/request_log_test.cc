// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/request_log.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"

namespace attend {
namespace {

using testing::ElementsAre;

class RequestLogTest : public testing::Test {
 protected:
  void Use(const RequestLogOptions& options) {
    log_ = std::make_unique<RequestLog>(
        options, clock_,
        [this](LogLevel level, absl::string_view message, const std::vector<LogField>& fields) {
          levels_.push_back(level);
          messages_.emplace_back(message);
          fields_.clear();
          for (const auto& [key, value] : fields) fields_.emplace_back(key, value);
        });
  }

  void End(absl::StatusCode code, absl::string_view reason, absl::Duration duration) {
    log_->OnEnd({.method = "GetLayer",
                 .code = code,
                 .reason = reason,
                 .duration = duration,
                 .details = details_});
  }

  std::string Field(absl::string_view key) const {
    for (const auto& [name, value] : fields_) {
      if (name == key) return value;
    }
    return "(none)";
  }

  FakeClock clock_;
  RequestDetails details_;
  std::unique_ptr<RequestLog> log_;
  std::vector<LogLevel> levels_;
  std::vector<std::string> messages_;
  std::vector<std::pair<std::string, std::string>> fields_;  // of the last line
};

TEST_F(RequestLogTest, LogsRefusedFailedAndSlowRequestsAndNoOthers) {
  Use({.slow = absl::Seconds(1), .sample = 0});
  End(absl::StatusCode::kOk, "", absl::Milliseconds(999));
  End(absl::StatusCode::kCancelled, "CANCELLED", absl::Milliseconds(1));
  EXPECT_THAT(messages_, ElementsAre());
  End(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", absl::Milliseconds(1));
  End(absl::StatusCode::kInternal, "INTERNAL", absl::Milliseconds(1));
  End(absl::StatusCode::kOk, "", absl::Seconds(1));
  EXPECT_THAT(messages_, ElementsAre("request refused", "request failed", "request was slow"));
  EXPECT_THAT(levels_, ElementsAre(LogLevel::kWarning, LogLevel::kError, LogLevel::kWarning));
}

TEST_F(RequestLogTest, LogsOneOfSoManyGoodRequests) {
  Use({.slow = absl::ZeroDuration(), .sample = 3});
  for (int i = 0; i < 7; ++i) End(absl::StatusCode::kOk, "", absl::Hours(1));
  EXPECT_THAT(messages_, ElementsAre("request", "request", "request"));
}

TEST_F(RequestLogTest, HoldsWhatIsKnownOfTheRequest) {
  Use({});
  details_ = {.layer = "m/0",
              .rows = 4,
              .bytes_in = 100,
              .bytes_out = 200,
              .decode = absl::Microseconds(1),
              .queue = absl::Microseconds(20),
              .compute = absl::Microseconds(300),
              .encode = absl::Microseconds(4000)};
  log_->OnEnd({.method = "MultiHeadAttention",
               .item = 7,
               .code = absl::StatusCode::kDeadlineExceeded,
               .reason = "EXPIRED",
               .request_id = "id-1",
               .traceparent = "00-a",
               .caller = "ipv4:10.0.0.1",
               .duration = absl::Milliseconds(5),
               .details = details_});
  EXPECT_EQ(Field("request_id"), "id-1");
  EXPECT_EQ(Field("caller"), "ipv4:10.0.0.1");
  EXPECT_EQ(Field("method"), "MultiHeadAttention");
  EXPECT_EQ(Field("item"), "7");
  EXPECT_EQ(Field("layer"), "m/0");
  EXPECT_EQ(Field("code"), "DEADLINE_EXCEEDED");
  EXPECT_EQ(Field("reason"), "EXPIRED");
  EXPECT_EQ(Field("bytes_in"), "100");
  EXPECT_EQ(Field("bytes_out"), "200");
  EXPECT_EQ(Field("total_ms"), "5.000");
  EXPECT_EQ(Field("decode_ms"), "0.001");
  EXPECT_EQ(Field("queue_ms"), "0.020");
  EXPECT_EQ(Field("compute_ms"), "0.300");
  EXPECT_EQ(Field("encode_ms"), "4.000");
  EXPECT_EQ(Field("traceparent"), "00-a");
}

TEST_F(RequestLogTest, WritesTenLinesOfAKindInASecondAndCountsTheOthers) {
  Use({});
  const auto refuse = [&] {
    End(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", absl::ZeroDuration());
  };
  for (int i = 0; i < 1000; ++i) refuse();
  EXPECT_EQ(messages_.size(), 10u);
  // A flood of one kind does not hide another.
  End(absl::StatusCode::kInternal, "INTERNAL", absl::ZeroDuration());
  EXPECT_EQ(messages_.back(), "request failed");
  clock_.Advance(absl::Seconds(1));
  refuse();
  EXPECT_EQ(Field("lines_left_out"), "990");
  EXPECT_EQ(messages_.size(), 12u);
}

}  // namespace
}  // namespace attend
