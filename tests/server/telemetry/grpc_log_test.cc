// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/grpc_log.h"

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"

namespace attend {
namespace {

using Reading = std::optional<std::pair<GrpcRefusal, std::string>>;

// Lines of gRPC 1.51.1, shortened in the middle. That it still writes them is tested over the wire.
TEST(GrpcLogTest, ReadsWhatGrpcRefusedAndWhy) {
  EXPECT_EQ(ReadGrpcLogLine("Handshaking failed: UNKNOWN:Ssl handshake failed: SSL_ERROR_SSL: "
                            "error:0A0000C7:SSL routines::peer did not return a certificate "
                            "{file:\"x.cc\", file_line:393, tsi_code:10}",
                            false),
            Reading({GrpcRefusal::kHandshake, "peer did not return a certificate"}));
  EXPECT_EQ(
      ReadGrpcLogLine("Handshaking failed: UNKNOWN:Cannot check peer: missing selected ALPN "
                      "property. {file:\"x.cc\"}",
                      false),
      Reading({GrpcRefusal::kHandshake, "Cannot check peer: missing selected ALPN property."}));
  EXPECT_EQ(ReadGrpcLogLine("ipv4:127.0.0.1:1: Sending goaway err=UNKNOWN:Did not receive HTTP/2 "
                            "settings before handshake timeout {file:\"x.cc\"}",
                            false),
            Reading({GrpcRefusal::kHandshakeTimeout,
                     "Did not receive HTTP/2 settings before handshake timeout"}));
  EXPECT_EQ(ReadGrpcLogLine("ipv4:127.0.0.1:1: Sending goaway err=UNKNOWN:too_many_pings "
                            "{http2_error:11}",
                            false),
            Reading({GrpcRefusal::kPings, "too_many_pings"}));
  const std::string headers = "received initial metadata size exceeds limit (12349 vs. 8192).";
  EXPECT_EQ(ReadGrpcLogLine(headers, false), Reading({GrpcRefusal::kHeaders, headers}));
  EXPECT_EQ(ReadGrpcLogLine("Failed call creation: UNKNOWN:Missing :authority or :path {file:\"\"}",
                            false),
            Reading({GrpcRefusal::kCall, "Missing :authority or :path"}));
  for (const std::string line :
       {"Compression algorithm 'gzip' is disabled.", "Invalid compression algorithm value '3'."}) {
    EXPECT_EQ(ReadGrpcLogLine(line, true), Reading({GrpcRefusal::kCompression, line}));
  }
}

// A TLS handshake that took too long was counted as one that failed, with "Handshake read failed".
TEST(GrpcLogTest, FindsATimeoutBelowOtherCauses) {
  EXPECT_EQ(ReadGrpcLogLine("Handshaking failed: UNKNOWN:Handshake read failed {file_line:487, "
                            "children:[UNKNOWN:FD Shutdown {file_line:200, "
                            "children:[UNKNOWN:Handshake timed out {file_line:167}]}]}",
                            false),
            Reading({GrpcRefusal::kHandshakeTimeout, "Handshake timed out"}));
  EXPECT_EQ(ReadGrpcLogLine("Handshaking failed: UNKNOWN:Handshake read failed {file_line:487, "
                            "children:[INTERNAL:Socket closed {fd:12}]}",
                            false),
            Reading({GrpcRefusal::kHandshake, "Handshake read failed"}));
}

TEST(GrpcLogTest, TakesOtherLinesForRefusalsOnlyWhereTheyAreErrors) {
  EXPECT_EQ(ReadGrpcLogLine("Using polling engine: epoll1", false), std::nullopt);
  EXPECT_EQ(ReadGrpcLogLine("no socket left", true),
            Reading({GrpcRefusal::kError, "no socket left"}));
}

TEST(GrpcLogTest, CountsAHandshakeThatFailedOnce) {
  EXPECT_EQ(
      ReadGrpcLogLine("Handshake failed with fatal error SSL_ERROR_SSL: error:0A0000C7", true),
      std::nullopt);
  EXPECT_EQ(ReadGrpcLogLine("Security handshake failed: UNKNOWN:Ssl handshake failed", false),
            std::nullopt);
}

// A log whose lines are kept as level, message and the value of the last field.
class GrpcLogLinesTest : public testing::Test {
 protected:
  using Line = std::tuple<LogLevel, std::string, std::string>;

  FakeClock clock_;
  std::vector<Line> lines_;
  GrpcLog log_{clock_, [this](LogLevel level, absl::string_view message,
                              const std::vector<LogField>& fields) {
                 lines_.emplace_back(level, std::string(message), fields.back().second);
               }};
};

TEST_F(GrpcLogLinesTest, WritesFiveRefusalsInASecondAndThenSaysHowManyWereLeftOut) {
  for (int i = 0; i < 9; ++i) log_.OnLine("too_many_pings", false);
  EXPECT_THAT(lines_, testing::Each(Line(LogLevel::kWarning, "gRPC refused", "0")));
  EXPECT_EQ(lines_.size(), 5u);
  clock_.Advance(absl::Milliseconds(999));
  log_.OnLine("no socket left", true);
  EXPECT_EQ(lines_.size(), 5u);
  clock_.Advance(absl::Milliseconds(1));
  log_.OnLine("no socket left", true);
  EXPECT_EQ(lines_.size(), 6u);
  EXPECT_EQ(lines_.back(), Line(LogLevel::kWarning, "gRPC refused", "5"));
}

TEST_F(GrpcLogLinesTest, CountsRefusalsThatItLeavesOut) {
  for (int i = 0; i < 9; ++i) log_.OnLine("too_many_pings", false);
  log_.OnLine("no socket left", true);
  GrpcRefusalCounts expected{};
  expected[static_cast<size_t>(GrpcRefusal::kPings)] = 9;
  expected[static_cast<size_t>(GrpcRefusal::kError)] = 1;
  EXPECT_EQ(log_.refusals(), expected);
}

TEST_F(GrpcLogLinesTest, WritesAllOtherLinesForWhoDebugs) {
  for (int i = 0; i < 9; ++i) log_.OnLine("Using polling engine: epoll1", false);
  EXPECT_EQ(lines_.size(), 9u);
  EXPECT_THAT(lines_,
              testing::Each(Line(LogLevel::kDebug, "gRPC", "Using polling engine: epoll1")));
  EXPECT_EQ(log_.refusals(), GrpcRefusalCounts{});
}

}  // namespace
}  // namespace attend
