// SPDX-License-Identifier: Apache-2.0

// The life of a call: it is refused before its message is read, and ends at its deadline whatever
// it waits for.

#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/raw_http2.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

// The head of a message of 1 MiB, and 100 bytes of it.
const std::string kBeginning = std::string("\0\0\x10\0\0", 5) + std::string(100, 'x');

// Of every service, but for what grpc.reflection.v1 answers as v1alpha does.
constexpr const char* kUnaryPaths[] = {
    kMultiHeadPath,
    kScaledDotProductPath,
    "/attend.v1.LayerService/ListLayers",
    "/attend.v1.LayerService/GetLayer",
    "/attend.v1.ServerService/GetServerInfo",
    "/grpc.health.v1.Health/Check",
};
constexpr char kPipelinePath[] = "/attend.v1.AttentionService/Pipeline";
constexpr char kWatchPath[] = "/grpc.health.v1.Health/Watch";
constexpr char kReflectionPath[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr const char* kStreamPaths[] = {kPipelinePath, kWatchPath, kReflectionPath};

double CountRequests(const ServerProcess& server, const std::string& code) {
  return Sum(server.Metrics(), "attend_requests_total", {"\"" + code + "\""});
}

TEST(CallLifeTest, EndsAStalledUploadAtTheServersDeadline) {
  ServerProcess server({"--max-deadline=300ms"});
  RawHttp2 connection(server.tcp());
  connection.StartCall(kScaledDotProductPath, "");
  connection.SendData(kBeginning, false);
  EXPECT_TRUE(connection.WaitForEnd());
  EXPECT_TRUE(Eventually([&] { return CountRequests(server, "DEADLINE_EXCEEDED") == 1; }));
  EXPECT_EQ(Sum(server.Metrics(), "attend_requests_total"), 1);
  EXPECT_TRUE(MakeCall(server.Channel(), kScaledDotProductPath, ShortRequest()).status.ok());
}

TEST(CallLifeTest, EndsAStalledUploadOfEveryMethodAtTheServersDeadline) {
  ServerProcess server({"--max-deadline=300ms"});
  for (const char* path : kUnaryPaths) {
    RawHttp2 connection(server.tcp());
    connection.StartCall(path, "");
    connection.SendData(kBeginning, false);
    EXPECT_TRUE(connection.WaitForEnd()) << path;
  }
  // All are counted but that of the health service.
  EXPECT_TRUE(Eventually([&] { return CountRequests(server, "DEADLINE_EXCEEDED") == 5; }));
  EXPECT_EQ(Sum(server.Metrics(), "attend_requests_total"), 5);
}

TEST(CallLifeTest, EndsAStreamWhoseMessageStallsButNotAnIdleOne) {
  ServerProcess server({"--max-deadline=300ms"});
  std::vector<std::unique_ptr<RawHttp2>> idle;
  for (const char* path : kStreamPaths) {
    idle.push_back(std::make_unique<RawHttp2>(server.tcp()));
    idle.back()->StartCall(path, "");
  }
  for (const char* path : kStreamPaths) {
    RawHttp2 connection(server.tcp());
    connection.StartCall(path, "");
    EXPECT_TRUE(connection.SendBeginning(1 << 20, 512 << 10)) << path;
    EXPECT_TRUE(connection.WaitForEnd()) << path;
  }
  EXPECT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "grpc_server_handled_total", {"\"DeadlineExceeded\""}) == 1;
  }));
  // These began before and have waited for longer.
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_calls") == 3; }));
}

// The beginning of the second message comes before the first has been read.
TEST(CallLifeTest, EndsAPipelineWhoseSecondMessageStalls) {
  ServerProcess server({"--max-deadline=300ms"});
  RawHttp2 connection(server.tcp());
  connection.StartCall(kPipelinePath, "");
  v1::PipelineRequest request;
  *request.mutable_scaled_dot_product_attention() = OperatorRequest(8, 1, 8);
  const std::string message = request.SerializeAsString();
  ASSERT_LT(message.size(), 1u << 16);
  std::string first = std::string(3, '\0');
  first.push_back(static_cast<char>(message.size() >> 8));
  first.push_back(static_cast<char>(message.size()));
  connection.SendData(first + message, false);
  EXPECT_TRUE(connection.SendBeginning(1 << 20, 50'000));
  EXPECT_TRUE(connection.WaitForEnd());
  EXPECT_EQ(CountRequests(server, "OK"), 1);
}

TEST(CallLifeTest, EndsACallWhoseCallerReadsNoAnswer) {
  ServerProcess server({"--max-deadline=300ms"});
  for (const char* path : {"/attend.v1.LayerService/ListLayers", kWatchPath, kReflectionPath}) {
    RawHttp2 connection(server.tcp());
    connection.CloseWindow();
    connection.StartCall(path, "");
    connection.SendMessage("");
    EXPECT_TRUE(connection.WaitForEnd()) << path;
  }
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_calls") == 0; }));
}

TEST(CallLifeTest, EndsAStalledUploadAtItsCallersDeadline) {
  ServerProcess server;
  RawHttp2 connection(server.tcp());
  connection.StartCall(kScaledDotProductPath, "300m");
  connection.SendData(kBeginning, false);
  EXPECT_TRUE(connection.WaitForEnd());
  EXPECT_TRUE(Eventually([&] { return CountRequests(server, "DEADLINE_EXCEEDED") == 1; }));
}

TEST(CallLifeTest, CountsACallerThatLeavesInTheMiddleOfItsUploadAsCancelled) {
  ServerProcess server;
  {
    RawHttp2 connection(server.tcp());
    connection.StartCall(kScaledDotProductPath, "");
    connection.SendData(kBeginning, false);
    ASSERT_TRUE(
        Eventually([&] { return Sum(server.Metrics(), "grpc_server_started_total") == 1; }));
  }
  EXPECT_TRUE(Eventually([&] { return CountRequests(server, "CANCELLED") == 1; }));
}

TEST(CallLifeTest, ReturnsTheMemoryOfAnUnreadAnswerAtTheDeadline) {
  ServerProcess server({"--max-deadline=2s"});
  RawHttp2 connection(server.tcp());
  connection.StartCall(kScaledDotProductPath, "");
  // The connection lets 64 KiB of the 8 MiB pass.
  connection.SendMessage(LargeAnswerRequest(1024).SerializeAsString());
  ASSERT_TRUE(Eventually([&] { return CountRequests(server, "OK") == 1; }));
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_in_flight_bytes") == 0; }));
}

// The queue is full, and the caller was told so a moment before.
TEST(CallLifeTest, RefusesAtTheHeadersACallerThatWasJustRefused) {
  HoldableServer server({"--workers=1", "--batching=off", "--max-queue-requests=1"});
  HeldCall held(server);
  Call queued(server.Channel(), kScaledDotProductPath, ShortRequest());
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_queue_requests") == 1; }));
  std::vector<std::unique_ptr<RawHttp2>> connections;
  int refused = 0;
  EXPECT_TRUE(Eventually([&] {
    refused += !MakeCall(server.Channel(), kScaledDotProductPath, ShortRequest()).status.ok();
    connections.push_back(std::make_unique<RawHttp2>(server.tcp()));
    connections.back()->StartCall(kScaledDotProductPath, "");  // no message follows
    return Sum(server.Metrics(), "attend_rejected_total", {"queue_full"}) > refused;
  }));
  EXPECT_TRUE(held.Release().status.ok());
  EXPECT_TRUE(queued.Wait().status.ok());
}

TEST(CallLifeTest, RefusesAtTheHeadersWhileDraining) {
  HoldableServer server({"--workers=1", "--batching=off", "--drain-timeout=10m"});
  RawHttp2 connection(server.tcp());
  HeldCall held(server);
  const auto channel = server.Channel();
  server.process().Signal(SIGTERM);
  // A call that is accepted before waits behind the held one: it must give up soon.
  Call::Options options;
  options.timeout = std::chrono::milliseconds(20);
  double refused = 0;
  ASSERT_TRUE(Eventually([&] {
    MakeCall(channel, kScaledDotProductPath, ShortRequest(), options);
    refused = Sum(server.Metrics(), "attend_rejected_total", {"draining"});
    return refused > 0;
  }));
  connection.StartCall(kScaledDotProductPath, "");  // no message follows
  EXPECT_TRUE(connection.WaitForEnd());
  EXPECT_EQ(Sum(server.Metrics(), "attend_rejected_total", {"draining"}), refused + 1);
  EXPECT_TRUE(held.Release().status.ok()) << held.Release().status.error_message();
  EXPECT_EQ(server.process().Wait(), 0);
}

TEST(CallLifeTest, DrainsWhileAnUploadIsStalled) {
  ServerProcess server({"--drain-delay=0s", "--drain-timeout=1s"});
  RawHttp2 connection(server.tcp());
  connection.StartCall(kScaledDotProductPath, "");
  connection.SendData(kBeginning, false);
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "grpc_server_started_total") == 1; }));
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
}

// What a call that no service sees adds to the metrics, once.
void ExpectRefused(const ServerProcess& server, const std::string& method, const std::string& code,
                   const std::string& grpc_code, const std::string& reason) {
  const auto metrics = server.Metrics();
  EXPECT_EQ(Sum(metrics, "attend_requests_total", {"\"" + method + "\"", "\"" + code + "\""}), 1);
  EXPECT_EQ(Sum(metrics, "attend_requests_total"), 1);
  EXPECT_EQ(Sum(metrics, "attend_rejected_total", {"\"" + reason + "\""}), 1);
  EXPECT_EQ(Sum(metrics, "grpc_server_started_total", {"\"" + method + "\""}), 1);
  EXPECT_EQ(Sum(metrics, "grpc_server_handled_total",
                {"grpc_method=\"" + method + "\"", "\"" + grpc_code + "\""}),
            1);
}

TEST(CallLifeTest, CountsACallOfAPathThatItDoesNotHave) {
  ServerProcess server;
  EXPECT_EQ(MakeCall(server.Channel(), "/attend.v1.Other/Method", "").status.error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  ExpectRefused(server, "unknown", "UNIMPLEMENTED", "Unimplemented", "unimplemented");
}

TEST(CallLifeTest, CountsACallWhoseMetadataIsTooLarge) {
  ServerProcess server;
  RawHttp2 connection(server.tcp());
  connection.StartCall(kScaledDotProductPath, "", 100);
  EXPECT_TRUE(connection.WaitForEnd());
  ExpectRefused(server, "ScaledDotProductAttention", "RESOURCE_EXHAUSTED", "ResourceExhausted",
                "too_large");
}

TEST(CallLifeTest, CountsACallThatIsOneTooMany) {
  for (const char* reason : {"calls", "caller_calls"}) {
    SCOPED_TRACE(reason);
    const std::string most = reason == std::string("calls") ? "1" : "2";
    ServerProcess server({"--max-calls=" + most, "--max-caller-calls=1"});
    RawHttp2 open(server.tcp());
    open.StartCall(kWatchPath, "");
    ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_calls") == 1; }));
    EXPECT_FALSE(MakeCall(server.Channel(), kScaledDotProductPath, ShortRequest()).status.ok());
    ExpectRefused(server, "ScaledDotProductAttention", "RESOURCE_EXHAUSTED", "ResourceExhausted",
                  reason);
  }
}

// Such calls counted under the method "unknown".
TEST(CallLifeTest, NamesRefusedCallsOfHealthAndReflection) {
  for (const auto& [path, method] : {
           std::pair("/grpc.health.v1.Health/Check", "Check"),
           std::pair(kWatchPath, "Watch"),
           std::pair("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                     "ServerReflectionInfo"),
           std::pair("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                     "ServerReflectionInfo"),
       }) {
    SCOPED_TRACE(path);
    ServerProcess server({"--max-calls=1"});
    RawHttp2 open(server.tcp());
    open.StartCall(kWatchPath, "");
    ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_calls") == 1; }));
    EXPECT_FALSE(MakeCall(server.Channel(), path, "").status.ok());
    ExpectRefused(server, method, "RESOURCE_EXHAUSTED", "ResourceExhausted", "calls");
    const std::string service(path + 1, std::strchr(path + 1, '/'));
    EXPECT_EQ(Sum(server.Metrics(), "grpc_server_started_total", {"\"" + service + "\""}), 1);
  }
}

TEST(CallLifeTest, IgnoresASecondMessageOfAUnaryCall) {
  ServerProcess server;
  const std::string message = ShortRequest();
  RawHttp2 connection(server.tcp());
  connection.StartCall(kScaledDotProductPath, "");
  std::string framed = std::string(3, '\0');
  framed.push_back(static_cast<char>(message.size() >> 8));
  framed.push_back(static_cast<char>(message.size()));
  framed += message;
  connection.SendData(framed + framed, true);
  EXPECT_TRUE(connection.WaitForEnd());
  EXPECT_EQ(CountRequests(server, "OK"), 1);
  EXPECT_EQ(Sum(server.Metrics(), "attend_requests_total"), 1);
}

TEST(CallLifeTest, CountsAMissingMessageAsInvalid) {
  ServerProcess server;
  RawHttp2 connection(server.tcp());
  connection.StartCall(kScaledDotProductPath, "");
  connection.SendData("", true);
  EXPECT_TRUE(connection.WaitForEnd());
  // It is counted once gRPC is done with the call.
  EXPECT_TRUE(Eventually(
      [&] { return Sum(server.Metrics(), "attend_rejected_total", {"undecodable"}) == 1; }));
}

}  // namespace
}  // namespace attend
