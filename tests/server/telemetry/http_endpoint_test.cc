// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/http_endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/address.h"
#include "server/telemetry/http_request.h"

namespace attend {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(HttpEndpointTest, RefusesAPortInUseAndNamesIt) {
  const HttpPages pages = {[] { return std::string(); }, [] { return absl::OkStatus(); },
                           [] { return std::string(); }};
  const auto first = HttpEndpoint::Start("127.0.0.1:0", pages);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = HttpEndpoint::Start((*first)->address(), pages);
  ASSERT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr((*first)->address()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));
}

// A connection to "127.0.0.1:PORT" on which any bytes can be sent.
class RawConnection {
 public:
  explicit RawConnection(const std::string& address) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in name = {};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = htons(static_cast<uint16_t>(ParseHostPort(address)->port));
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  }
  RawConnection(RawConnection&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~RawConnection() {
    if (fd_ >= 0) close(fd_);
  }

  void Send(const std::string& bytes) const {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Everything up to the end of the connection.
  std::string ReadAll() const {
    std::string all;
    char piece[4096];
    for (ssize_t n = recv(fd_, piece, sizeof(piece), 0); n > 0;
         n = recv(fd_, piece, sizeof(piece), 0)) {
      all.append(piece, static_cast<size_t>(n));
    }
    return all;
  }
  bool is_open() const {
    char byte = 0;
    return recv(fd_, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
  }

 private:
  int fd_;
};

std::string RequestText(const std::string& address, const std::string& line) {
  const RawConnection connection(address);
  connection.Send(line + " HTTP/1.1\r\nHost: test\r\n\r\n");
  return connection.ReadAll();
}

std::unique_ptr<HttpEndpoint> StartEndpoint(const absl::Status& ready = absl::OkStatus(),
                                            const HttpLimits& limits = {},
                                            const std::string& metrics = "a 1\n") {
  auto endpoint = HttpEndpoint::Start("127.0.0.1:0",
                                      {[metrics] { return metrics; }, [ready] { return ready; },
                                       [] { return std::string("<p>page</p>"); }},
                                      limits);
  EXPECT_TRUE(endpoint.ok()) << endpoint.status();
  return std::move(*endpoint);
}

TEST(HttpEndpointTest, ServesItsFourPagesAndNoOther) {
  const auto ready = StartEndpoint();
  const auto starting = StartEndpoint(absl::UnavailableError("the server is starting"));
  const std::string address = ready->address();
  const std::string metrics = RequestText(address, "GET /metrics");
  EXPECT_THAT(metrics, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(metrics, HasSubstr("version=0.0.4"));
  EXPECT_THAT(metrics, EndsWith("\r\n\r\na 1\n"));
  EXPECT_THAT(RequestText(address, "GET /healthz"), EndsWith("\r\n\r\nok\n"));
  EXPECT_THAT(RequestText(address, "GET /readyz"), EndsWith("\r\n\r\nready\n"));
  const std::string not_ready = RequestText(starting->address(), "GET /readyz");
  EXPECT_THAT(not_ready, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(not_ready, EndsWith("\r\n\r\nnot ready: the server is starting\n"));
  const std::string status = RequestText(address, "GET /");
  EXPECT_THAT(status, HasSubstr("\r\nContent-Type: text/html; charset=utf-8\r\n"));
  EXPECT_THAT(status, EndsWith("\r\n\r\n<p>page</p>"));
  EXPECT_THAT(RequestText(address, "GET /other"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(RequestText(address, "GET /metrics/"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(RequestText(address, "GET /../etc/passwd"), Not(HasSubstr("root:")));
  EXPECT_THAT(RequestText(address, "POST /metrics"), StartsWith("HTTP/1.1 405 "));
}

TEST(HttpEndpointTest, AnswersHeadWithoutABody) {
  const auto endpoint = StartEndpoint();
  const std::string head = RequestText(endpoint->address(), "HEAD /metrics");
  EXPECT_THAT(head, HasSubstr("Content-Length: 4\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
}

// Sends `bytes` on each of so many connections, and no more.
std::vector<RawConnection> OpenMany(const std::string& address, int count,
                                    const std::string& bytes) {
  std::vector<RawConnection> opened;
  for (int i = 0; i < count; ++i) {
    opened.emplace_back(address);
    opened.back().Send(bytes);
  }
  return opened;
}

TEST(HttpEndpointTest, AnswersBesideThreeHundredSilentOrHalfSentRequests) {
  const auto endpoint = StartEndpoint();
  for (const std::string bytes : {"", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: x\r\n"}) {
    const std::vector<RawConnection> unfinished = OpenMany(endpoint->address(), 150, bytes);
    EXPECT_THAT(RequestText(endpoint->address(), "GET /healthz"), EndsWith("ok\n"));
    // None of them had to be given up for that.
    for (const RawConnection& connection : unfinished) EXPECT_TRUE(connection.is_open());
  }
  const std::vector<RawConnection> silent = OpenMany(endpoint->address(), 150, "");
  const std::vector<RawConnection> half_sent = OpenMany(endpoint->address(), 150, "GET /he");
  EXPECT_THAT(RequestText(endpoint->address(), "GET /healthz"), EndsWith("ok\n"));
  for (const RawConnection& connection : silent) EXPECT_TRUE(connection.is_open());
  for (const RawConnection& connection : half_sent) EXPECT_TRUE(connection.is_open());
}

TEST(HttpEndpointTest, EndsTheOldestConnectionForANewOneBeyondTheLimit) {
  const auto endpoint = StartEndpoint(absl::OkStatus(), {.connections = 2});
  const RawConnection oldest(endpoint->address());
  const RawConnection second(endpoint->address());
  // The endpoint has taken both once it answers a third, for which it ends the first.
  EXPECT_THAT(RequestText(endpoint->address(), "GET /healthz"), EndsWith("ok\n"));
  EXPECT_EQ(oldest.ReadAll(), "");
  EXPECT_TRUE(second.is_open());
}

TEST(HttpEndpointTest, EndsAConnectionWhoseTimeIsOver) {
  const auto endpoint = StartEndpoint(absl::OkStatus(), {.time = absl::Milliseconds(1)});
  const RawConnection silent(endpoint->address());
  EXPECT_EQ(silent.ReadAll(), "");
}

TEST(HttpEndpointTest, AnswersBesideAPeerThatReadsNothing) {
  const std::string large(32 << 20, 'x');  // more than sockets hold
  const auto endpoint = StartEndpoint(absl::OkStatus(), {}, large);
  const RawConnection reader(endpoint->address());
  reader.Send("GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_THAT(RequestText(endpoint->address(), "GET /healthz"), EndsWith("ok\n"));
  // Once it reads, it gets all of it.
  const std::string all = reader.ReadAll();
  EXPECT_EQ(all.size() - all.find("\r\n\r\n") - 4, large.size());
}

TEST(HttpEndpointTest, RefusesWhatIsNoRequestAndHeadersWithoutEnd) {
  const auto endpoint = StartEndpoint();
  const RawConnection binary(endpoint->address());
  binary.Send("\x16\x03\x01 hello\r\n\r\n");
  EXPECT_THAT(binary.ReadAll(), StartsWith("HTTP/1.1 400 "));
  const RawConnection endless(endpoint->address());
  endless.Send("GET /metrics HTTP/1.1\r\nA: " + std::string(kMaxHttpHeadBytes, 'a'));
  EXPECT_THAT(endless.ReadAll(), StartsWith("HTTP/1.1 431 "));
}

TEST(HttpEndpointTest, AnswersARequestThatComesByteByByte) {
  const auto endpoint = StartEndpoint();
  const RawConnection slow(endpoint->address());
  for (const char c : std::string("GET /healthz?x=1 HTTP/1.1\r\nHost: a\r\n\r\n")) {
    slow.Send(std::string(1, c));
  }
  EXPECT_THAT(slow.ReadAll(), EndsWith("ok\n"));
}

}  // namespace
}  // namespace attend
