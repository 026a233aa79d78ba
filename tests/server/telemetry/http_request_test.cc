// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/http_request.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using State = HttpHead::State;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;

TEST(HttpRequestTest, ReadsMethodAndPath) {
  for (const char* version : {"HTTP/1.1", "HTTP/1.0"}) {
    const std::string bytes = absl::StrCat("GET /metrics?name=a ", version, "\r\nHost: x\r\n\r\n");
    EXPECT_EQ(ReadHttpHead(bytes).state, State::kComplete);
    EXPECT_EQ(ReadHttpHead(bytes).method, "GET");
    EXPECT_EQ(ReadHttpHead(bytes).path, "/metrics");
  }
}

TEST(HttpRequestTest, WaitsForTheEndOfTheHeaders) {
  const std::string bytes = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(ReadHttpHead(bytes.substr(0, i)).state, State::kIncomplete) << i;
  }
  EXPECT_EQ(ReadHttpHead(bytes).state, State::kComplete);
}

TEST(HttpRequestTest, RefusesOtherLines) {
  for (const char* line : {"", " ", "GET", "GET /", "GET / HTTP/2.0", "get / HTTP/1.1",
                           "GET  HTTP/1.1", "GET metrics HTTP/1.1", "GET http://a/ HTTP/1.1",
                           "GET /a\x01 HTTP/1.1", "GET /a b HTTP/1.1", "/ HTTP/1.1"}) {
    EXPECT_EQ(ReadHttpHead(absl::StrCat(line, "\r\n\r\n")).state, State::kMalformed) << line;
  }
}

TEST(HttpRequestTest, BoundsTheHeadersWithOrWithoutAnEnd) {
  const std::string most(kMaxHttpHeadBytes, 'a');
  EXPECT_EQ(ReadHttpHead(most).state, State::kIncomplete);
  EXPECT_EQ(ReadHttpHead(most + "a").state, State::kTooLarge);
  EXPECT_EQ(ReadHttpHead(most + "a\r\n\r\n").state, State::kTooLarge);
}

TEST(HttpRequestTest, FormatsAnAnswerThatABrowserMayNotGoBeyond) {
  const std::string get = FormatHttpAnswer({.code = 200, .body = "text"}, true);
  EXPECT_THAT(get, HasSubstr("\r\nContent-Length: 4\r\n"));
  EXPECT_THAT(get, HasSubstr("default-src 'none'"));
  EXPECT_THAT(get, EndsWith("\r\n\r\ntext"));
  EXPECT_THAT(FormatHttpAnswer({.code = 405, .body = "x"}, false),
              AllOf(HasSubstr("\r\nAllow: GET, HEAD\r\n"), EndsWith("\r\n\r\n")));
}

}  // namespace
}  // namespace attend
