// SPDX-License-Identifier: Apache-2.0

// The client and a server that vanishes without closing its connection.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/client/cpp/pipeline_tester.h"
#include "tests/client/cpp/raw_server.h"

namespace attend::client {
namespace {

// Answers a few PINGs, more than the two after which gRPC stops by default, and nothing else.
class VanishingServer {
 public:
  VanishingServer() { server_.Start(); }
  const std::string& address() const { return server_.address(); }

 private:
  std::string Answer(const Frame& frame) {
    if (frame.type() != Frame::kPing || ++pings_ > 3) return "";
    std::string answer = frame.bytes;
    answer[4] = 1;  // the flag ACK
    return answer;
  }

  int pings_ = 0;
  RawServer server_{[this](const Frame& frame) { return Answer(frame); }};
};

std::unique_ptr<Client> ConnectTo(const VanishingServer& server) {
  return *Client::Create({.targets = {server.address()},
                          .keepalive_time = absl::Milliseconds(20),
                          .keepalive_timeout = absl::Milliseconds(200),
                          .retry = {.max_attempts = 1}});
}

TEST(KeepaliveTest, AServerThatVanishesEndsACallBeforeItsDeadline) {
  VanishingServer server;
  const auto client = ConnectTo(server);
  const absl::Status status = client->Call(RequestOf(1)).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(GetErrorDetails(status).attempts, 1);
}

TEST(KeepaliveTest, AServerThatVanishesEndsAPipeline) {
  VanishingServer server;
  const auto client = ConnectTo(server);
  const auto pipeline = OpenPipeline(*client);
  ResponseFuture future = pipeline->AsyncCall(RequestOf(1));
  const absl::Status status = future.get().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(absl::IsUnavailable(pipeline->Finish()));
}

}  // namespace
}  // namespace attend::client
