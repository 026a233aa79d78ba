// SPDX-License-Identifier: Apache-2.0

// Hostile, broken and very many callers: the server answers the others, its memory returns to
// normal, and its counters add up.

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/raw_http2.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

constexpr int64_t kMiB = 1 << 20;

std::string Request() {
  return OperatorRequest(16, 2, 32).SerializeAsString();
}

void ExpectStillServes(const ServerProcess& server) {
  const CallResult result = MakeCall(server.Channel(), kScaledDotProductPath, Request());
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
}

// Every call that started has ended once, under one code, in both families of metrics.
void ExpectCountersAddUp(const ServerProcess& server, double calls) {
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_requests_total") == calls; }))
      << Sum(server.Metrics(), "attend_requests_total") << " of " << calls;
  const auto metrics = server.Metrics();
  EXPECT_EQ(Sum(metrics, "grpc_server_started_total"), calls);
  EXPECT_EQ(Sum(metrics, "grpc_server_handled_total"), calls);
  EXPECT_EQ(Sum(metrics, "attend_request_duration_seconds_count"), calls);
  EXPECT_EQ(Sum(metrics, "attend_requests_total", {"\"INTERNAL\""}), 0);
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_in_flight_bytes") == 0; }))
      << Sum(server.Metrics(), "attend_in_flight_bytes");
  EXPECT_EQ(Sum(server.Metrics(), "attend_queue_requests"), 0);
  // Requests that ran in batches were answered, or lost their caller while they ran.
  EXPECT_GE(Sum(metrics, "attend_batch_requests_sum"),
            Sum(metrics, "attend_requests_total", {"\"OK\"", "Attention"}));
}

TEST(RobustnessTest, AnswersRandomBytesWithInvalidArgument) {
  ServerProcess server;
  constexpr uint64_t kSeed = 7;
  std::cout << "seed " << kSeed << "\n";
  std::mt19937_64 random(kSeed);
  const auto channel = server.Channel();
  constexpr int kCalls = 500;
  for (int i = 0; i < kCalls; ++i) {
    std::string bytes(random() % 400, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const CallResult result =
        MakeCall(channel, i % 2 == 0 ? kMultiHeadPath : kScaledDotProductPath, bytes);
    // By chance some bytes may be an unknown option.
    ASSERT_THAT(result.status.error_code(),
                testing::AnyOf(grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::UNIMPLEMENTED))
        << result.status.error_message();
  }
  ExpectCountersAddUp(server, kCalls);
  ExpectStillServes(server);
}

TEST(RobustnessTest, EndsALengthPrefixWithoutItsDataAtTheDeadlineWithFlatMemory) {
  ServerProcess server;
  ExpectStillServes(server);
  const int64_t before = server.ResidentBytes();
  std::vector<std::unique_ptr<RawHttp2>> connections;
  for (int i = 0; i < 8; ++i) {
    connections.push_back(std::make_unique<RawHttp2>(server.tcp()));
    connections.back()->StartCall(kMultiHeadPath, "500m");
    // An uncompressed message of 1 GiB, of which 100 bytes are sent.
    connections.back()->SendData(std::string("\0\x40\0\0\0", 5) + std::string(100, 'x'), false);
  }
  for (const auto& connection : connections) EXPECT_TRUE(connection->WaitForEnd());
  if (!kSanitized) {
    EXPECT_LT(server.PeakResidentBytes(), before + 16 * kMiB);
  }
  ExpectStillServes(server);
}

TEST(RobustnessTest, AnswersAMessageThatIsCutOffOrMissing) {
  ServerProcess server;
  // Sends half a message and ends the stream, then no message at all.
  for (const std::string& data : {std::string("\0\0\0\0\x64", 5) + "half", std::string()}) {
    RawHttp2 connection(server.tcp());
    connection.StartCall(kMultiHeadPath, "30S");
    connection.SendData(data, true);
    EXPECT_TRUE(connection.WaitForEnd());
  }
  ExpectStillServes(server);
  const auto metrics = server.Metrics();
  EXPECT_EQ(Sum(metrics, "attend_requests_total", {"\"OK\""}), 1) << "nobody got OK for garbage";
}

TEST(RobustnessTest, KeepsPeakMemoryWithinItsBudgetsUnderManyHugeMessages) {
  ServerProcess server(
      {"--max-request-bytes=48MiB", "--max-receive-bytes=128MiB", "--max-in-flight-bytes=128MiB"});
  ExpectStillServes(server);
  const int64_t before = server.ResidentBytes();
  // 24 x 36 MiB at the same time, each on its own connection.
  const std::string request = OperatorRequest(1024, 48, 64).SerializeAsString();
  ASSERT_GT(request.size(), 36u * kMiB);
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 24; ++i) {
    calls.push_back(std::make_unique<Call>(server.Channel(), kScaledDotProductPath, request));
  }
  int answered = 0;
  for (const auto& call : calls) {
    const grpc::Status& status = call->Wait().status;
    if (status.ok()) {
      ++answered;
    } else {
      EXPECT_THAT(status.error_code(), testing::AnyOf(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                                      grpc::StatusCode::UNAVAILABLE))
          << status.error_message();
    }
  }
  std::cout << answered << " of 24 answered, peak " << (server.PeakResidentBytes() - before) / kMiB
            << " MiB above the idle server\n";
  if (!kSanitized) {
    // The limit covers both budgets, memory that allocators keep, and the bytes that gRPC reads
    // before it checks its own quota.
    EXPECT_LT(server.PeakResidentBytes(), before + (128 + 128 + 96) * kMiB);
  }
  if (!kSanitized) {  // sanitizers hold messages for too long
    EXPECT_GE(answered, 1);
  }
  // The memory of an answer returns a moment after its caller has it.
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_in_flight_bytes") == 0; }));
  const CallResult alone = MakeCall(server.Channel(), kScaledDotProductPath, request);
  EXPECT_TRUE(alone.status.ok()) << alone.status.error_message();
}

TEST(RobustnessTest, TakesAMessageOfTheLargestSize) {
  // The limit is twice the message, because gRPC also counts the bytes it reads ahead: a quota
  // of the message's own size holds it only while it is read fast enough.
  ServerProcess server(
      {"--max-request-bytes=64MiB", "--max-receive-bytes=128MiB", "--max-in-flight-bytes=128MiB"});
  const std::string request = OperatorRequest(1024, 80, 64).SerializeAsString();
  ASSERT_GT(request.size(), 60u * kMiB);
  const CallResult result = MakeCall(server.Channel(), kScaledDotProductPath, request);
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
}

TEST(RobustnessTest, Serves200ClientsAtOnce) {
  // Sanitizers make it so slow that two hundred would wait for longer than by default.
  ServerProcess server({"--random-layer=r:embed_dim=64,num_heads=4", "--max-queue-delay=1m"});
  const std::string request = LayerRequest("r", 16, 64).SerializeAsString();
  constexpr int kClients = 200;
  constexpr int kCallsEach = 10;
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&] {
      const auto channel = server.Channel();
      for (int call = 0; call < kCallsEach; ++call) {
        if (MakeCall(channel, kMultiHeadPath, request).status.ok()) ++answered;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, kClients * kCallsEach);
  ExpectCountersAddUp(server, kClients * kCallsEach);
}

// Only fork can make a client process that has nothing but raw sockets.
pid_t ForkClientInMidCall(const std::string& address, const std::string& message) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  RawHttp2 connection(address);
  connection.StartCall(kScaledDotProductPath, "60S");
  std::string framed(5, '\0');
  for (int i = 0; i < 4; ++i) {
    framed[static_cast<size_t>(4 - i)] = static_cast<char>(message.size() >> (8 * i));
  }
  framed += message;
  // Sends as much as the first flow-control window takes.
  const size_t size = std::min<size_t>(framed.size(), 16'000);
  connection.SendData(framed.substr(0, size), size == framed.size());
  connection.WaitForEnd();
  pause();
  _exit(0);
}

TEST(RobustnessTest, SurvivesClientsThatAreKilledInMidCall) {
  HoldableServer server({"--workers=1", "--batching=off", "--max-queue-delay=1m"});
  ExpectStillServes(server);
  HeldCall held(server);  // the calls below are in the queue
  const std::string whole = OperatorRequest(16, 2, 32).SerializeAsString();
  const std::string huge = OperatorRequest(512, 16, 64).SerializeAsString();
  std::vector<pid_t> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(ForkClientInMidCall(server.tcp(), i % 2 == 0 ? whole : huge));
  }
  // All have arrived, if only their headers: the first request, the held one and these.
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "grpc_server_started_total") == 22; }));
  for (const pid_t client : clients) kill(client, SIGKILL);
  for (const pid_t client : clients) waitpid(client, nullptr, 0);
  EXPECT_TRUE(Eventually(
      [&] { return Sum(server.Metrics(), "attend_requests_total", {"CANCELLED"}) == 20; }));
  EXPECT_TRUE(held.Release().status.ok());
  // The first request, the held one, ten complete requests and ten that were cut off: gRPC
  // delivers those too.
  ExpectCountersAddUp(server, 22);
  EXPECT_EQ(Sum(server.Metrics(), "attend_requests_total", {"\"OK\""}), 2);
  ExpectStillServes(server);
}

TEST(RobustnessTest, NeedsNoMoreMemoryTheLongerALoadLasts) {
  if (kSanitized) GTEST_SKIP() << "sanitizers keep memory";
  ServerProcess server({"--max-queue-requests=4"});
  const std::string request = OperatorRequest(1024, 4, 64).SerializeAsString();  // 3 MiB
  const auto round = [&] {
    std::vector<std::unique_ptr<Call>> calls;
    for (int i = 0; i < 32; ++i) {
      calls.push_back(std::make_unique<Call>(server.Channel(), kScaledDotProductPath, request));
    }
    for (const auto& call : calls) call->Wait();
  };
  // Allocators settle in the first rounds; after them nothing may grow.
  for (int i = 0; i < 4; ++i) round();
  const int64_t settled = server.PeakResidentBytes();
  for (int i = 0; i < 8; ++i) round();
  std::cout << "peak after 4 rounds " << settled / kMiB << " MiB, after 12 "
            << server.PeakResidentBytes() / kMiB << " MiB, now " << server.ResidentBytes() / kMiB
            << " MiB\n";
  EXPECT_LT(server.PeakResidentBytes(), settled + 64 * kMiB);
  ExpectCountersAddUp(server, 12 * 32);
}

}  // namespace
}  // namespace attend
