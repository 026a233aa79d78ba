// SPDX-License-Identifier: Apache-2.0

// Connections that want no answer, or too many of them, beside callers who do.

#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/raw_http2.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

// Sockets that are connected and send nothing, from one address or, evenly, from several.
class SilentSockets {
 public:
  SilentSockets(const std::string& address, int count, int sources = 1) {
    for (int i = 0; i < count; ++i) {
      fds_.push_back(ConnectTcp(address, absl::StrCat("127.0.0.", 1 + i % sources)));
    }
  }
  ~SilentSockets() { Close(); }
  void Close() {
    for (const int fd : fds_) {
      if (fd >= 0) close(fd);
    }
    fds_.clear();
  }

 private:
  std::vector<int> fds_;
};

// A server that starts under limits on open files: `limits` are arguments of ulimit.
class LimitedServer : public ServerProcess {
 public:
  LimitedServer(const std::string& limits, std::vector<std::string> flags)
      : ServerProcess("/bin/sh",
                      {"-c", "ulimit " + limits + R"( && exec "$0" "$@")", ATTEND_SERVER},
                      std::move(flags)) {}
};

// Raises the limit on open files of this process as far as is allowed.
void AllowThousandsOfSockets() {
  rlimit files = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
}

void ExpectAnswer(const std::string& target) {
  const CallResult result =
      MakeCall(ServerProcess::Channel(target), kScaledDotProductPath, ShortRequest());
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
}

TEST(ConnectionsTest, ServesOthersBesideTwoThousandSilentSockets) {
  ASSERT_NO_FATAL_FAILURE(AllowThousandsOfSockets());
  ServerProcess server({"--handshake-timeout=1s", "--max-caller-connections=100"});
  const SilentSockets silent(server.tcp(), 2000);
  ExpectAnswer(server.unix_socket());
  EXPECT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_connections_refused_total", {"caller_connections"}) >=
           1000;
  }));
  // Those that were taken are closed once their handshake takes too long.
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_connections") == 0; }));
  EXPECT_GT(Sum(server.Metrics(), "attend_grpc_refusals_total", {"handshake_timeout"}), 0);
  ExpectAnswer(server.tcp());
}

// They filled the table of connections, and everybody else was refused.
TEST(ConnectionsTest, TakesNewCallersBesideSilentSocketsOfManyAddresses) {
  ASSERT_NO_FATAL_FAILURE(AllowThousandsOfSockets());
  ServerProcess server({"--random-layer=l:embed_dim=16,num_heads=2"});
  const auto caller = ServerProcess::Channel(server.tcp());
  const CallResult before = MakeCall(caller, kScaledDotProductPath, ShortRequest());
  EXPECT_TRUE(before.status.ok()) << before.status.error_message();
  const SilentSockets silent(server.tcp(), 2000, /*sources=*/100);
  EXPECT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_connections_refused_total", {"\"silent\""}) > 900;
  }));
  ExpectAnswer(server.tcp());
  const CallResult after = MakeCall(caller, kScaledDotProductPath, ShortRequest());
  EXPECT_TRUE(after.status.ok()) << after.status.error_message();
  EXPECT_EQ(Sum(server.Metrics(), "attend_connections_refused_total", {"\"connections\""}), 0);
}

TEST(ConnectionsTest, AcceptsAgainAfterItHadNoFileDescriptorLeft) {
  ServerProcess server({"--max-caller-connections=10000", "--max-connections=10000"});
  ExpectAnswer(server.tcp());
  rlimit before = {};
  ASSERT_EQ(prlimit(server.process().pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  rlimit few = before;
  few.rlim_cur = 80;
  ASSERT_EQ(prlimit(server.process().pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  {
    const SilentSockets silent(server.tcp(), 200);
    EXPECT_TRUE(Eventually([&] {
      rlimit some = few;  // so that the metrics can be read
      some.rlim_cur = before.rlim_cur;
      prlimit(server.process().pid(), RLIMIT_NOFILE, &some, nullptr);
      const double refused =
          Sum(server.Metrics(), "attend_connections_refused_total", {"open_files"});
      prlimit(server.process().pid(), RLIMIT_NOFILE, &few, nullptr);
      return refused > 0;
    }));
  }
  ASSERT_EQ(prlimit(server.process().pid(), RLIMIT_NOFILE, &before, nullptr), 0);
  ExpectAnswer(server.tcp());
}

TEST(ConnectionsTest, RaisesTheLimitOnOpenFilesForAllConnectionsItMayHave) {
  LimitedServer server("-Sn 64", {"--max-connections=50", "--max-caller-connections=50"});
  // Two for each connection, 512 for the metrics port, 100 for files.
  EXPECT_EQ(Sum(server.Metrics(), "process_max_fds"), 2 * 50 + 512 + 100);
}

TEST(ConnectionsTest, TakesFewerConnectionsWhereTheLimitOnOpenFilesIsLow) {
  LimitedServer server("-n 300", {"--max-connections=1000", "--max-caller-connections=1000"});
  EXPECT_THAT(
      server.process().Output(),
      testing::HasSubstr("the limit on open files lowers --max-connections connections=\"100\""));
  const SilentSockets silent(server.tcp(), 120);
  const auto refused = [&](const std::string& limit) {
    return Sum(server.Metrics(), "attend_connections_refused_total", {limit});
  };
  EXPECT_TRUE(Eventually([&] { return refused("\"silent\"") == 20; }));
  EXPECT_EQ(Sum(server.Metrics(), "attend_connections"), 100);
  EXPECT_EQ(refused("open_files"), 0);
}

TEST(ConnectionsTest, RefusesTheCallsOfACallerThatHasTooManyOpen) {
  ServerProcess server({"--max-caller-calls=20"});
  const auto refused = [&] {
    return Sum(server.Metrics(), "attend_calls_refused_total", {"\"caller_calls\""});
  };
  {
    std::vector<std::unique_ptr<RawHttp2>> waiting;  // calls that never send a message
    for (int i = 0; i < 20; ++i) {
      waiting.push_back(std::make_unique<RawHttp2>(server.tcp()));
      waiting.back()->StartCall(i % 2 == 0 ? kScaledDotProductPath : "/grpc.health.v1.Health/Watch",
                                "");
    }
    EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_calls") == 20; }));
    const CallResult result =
        MakeCall(ServerProcess::Channel(server.tcp()), kScaledDotProductPath, ShortRequest());
    EXPECT_EQ(result.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_TRUE(result.has_trailer("grpc-retry-pushback-ms"));
    EXPECT_THAT(result.details(), testing::HasSubstr("CALLER_CALLS"));
    EXPECT_EQ(refused(), 1);
    ExpectAnswer(server.unix_socket());
  }
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_calls") == 0; }));
  ExpectAnswer(server.tcp());
  EXPECT_EQ(refused(), 1);
}

TEST(ConnectionsTest, RefusesACallOfAnybodyWhereAllCallsOfTheServerAreOpen) {
  ServerProcess server({"--max-calls=3"});
  const auto refused = [&](const std::string& limit) {
    return Sum(server.Metrics(), "attend_calls_refused_total", {limit});
  };
  {
    std::vector<std::unique_ptr<RawHttp2>> waiting;  // calls that never send a message
    for (const char* source : {"127.0.0.2", "127.0.0.3", "127.0.0.4"}) {
      waiting.push_back(std::make_unique<RawHttp2>(server.tcp(), source));
      waiting.back()->StartCall(kScaledDotProductPath, "");
    }
    ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_calls") == 3; }));
    const CallResult result =
        MakeCall(ServerProcess::Channel(server.tcp()), kScaledDotProductPath, ShortRequest());
    EXPECT_EQ(result.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_TRUE(result.has_trailer("grpc-retry-pushback-ms"));
    EXPECT_THAT(result.details(), testing::HasSubstr("CALLS"));
    EXPECT_THAT(result.details(), testing::Not(testing::HasSubstr("CALLER_CALLS")));
    EXPECT_EQ(refused("\"calls\""), 1);
    EXPECT_EQ(refused("\"caller_calls\""), 0);
    EXPECT_EQ(Sum(server.Metrics(), "attend_rejected_total", {"reason=\"calls\""}), 1);
  }
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_calls") == 0; }));
  ExpectAnswer(server.tcp());
  EXPECT_EQ(refused("\"calls\""), 1);
}

// gRPC ends streams of anybody once its quota is used up. One caller sends so much.
TEST(ConnectionsTest, EndsConnectionsOfTheCallerWhoseUnfinishedMessagesHoldTheMost) {
  constexpr uint32_t kMiB = 1 << 20;
  ServerProcess server({"--max-request-bytes=32MiB", "--max-receive-bytes=192MiB"});
  std::vector<std::unique_ptr<RawHttp2>> stalled;
  for (int i = 0; i < 6; ++i) {
    stalled.push_back(std::make_unique<RawHttp2>(server.tcp(), "127.0.0.2"));
    stalled.back()->StartCall(kScaledDotProductPath, "");
    // The server may end this one or another.
    stalled.back()->SendBeginning(32 * kMiB, 31 * kMiB);
  }
  const auto ended = [&] {
    return Sum(server.Metrics(), "attend_connections_ended_for_uploads_total");
  };
  EXPECT_TRUE(Eventually([&] { return ended() == 2; }));  // 4 x 31 MiB are below 3/4 of the quota
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_connections") == 4; }));
  const std::string request = OperatorRequest(1024, 32, 64).SerializeAsString();
  ASSERT_GT(request.size(), 20u * kMiB);
  // Another caller's messages do not fit beside them, and cost it nothing.
  for (const std::string& target : {server.tcp(), server.unix_socket()}) {
    const auto other = ServerProcess::Channel(target);
    for (int i = 0; i < 5; ++i) {
      const CallResult result = MakeCall(other, kScaledDotProductPath, request);
      EXPECT_TRUE(result.status.ok()) << result.status.error_message();
    }
  }
}

// gRPC takes 40 bytes for each such frame, which no meter sees.
TEST(ConnectionsTest, EndsAConnectionWhoseFramesOfOneByteTakeMoreMemoryThanTheBudgets) {
  if (kSanitized) GTEST_SKIP() << "sanitizers hold memory of their own";
  constexpr int64_t kMiB = 1 << 20;
  ServerProcess server(
      {"--max-request-bytes=8MiB", "--max-receive-bytes=192MiB", "--max-in-flight-bytes=40MiB"});
  ExpectAnswer(server.tcp());
  const int64_t idle = server.ResidentBytes();
  RawHttp2 hostile(server.tcp());
  hostile.StartCall(kScaledDotProductPath, "");
  // Less than three quarters of the 192 MiB: ten bytes for each of them cross the network.
  EXPECT_FALSE(hostile.SendBeginning(64 * kMiB, 14 * kMiB, 1));
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_connections") == 0; }));
  EXPECT_EQ(Sum(server.Metrics(), "attend_connections_ended_for_uploads_total"), 1);
  // The budgets, what they do not count, and what comes until the memory is looked at.
  EXPECT_LT(server.PeakResidentBytes() - idle, (192 + 40 + 128 + 64) * kMiB);
  ExpectAnswer(server.tcp());
}

// With open windows, all of the answer is in the server's socket and in gRPC, which cannot even
// send that the call is cancelled.
TEST(ConnectionsTest, ReturnsTheMemoryOfAnAnswerWhosePeerReadsNothingAtTheDeadline) {
  ServerProcess server({"--max-deadline=2s"});
  RawHttp2 connection(server.tcp());
  connection.OpenWindows();
  connection.StartCall(kScaledDotProductPath, "");
  connection.SendMessage(LargeAnswerRequest(1536).SerializeAsString());
  ASSERT_TRUE(
      Eventually([&] { return Sum(server.Metrics(), "attend_requests_total", {"\"OK\""}) == 1; }));
  EXPECT_GT(Sum(server.Metrics(), "attend_in_flight_bytes"), 0);
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_in_flight_bytes") == 0; }));
  ExpectAnswer(server.tcp());
}

TEST(ConnectionsTest, ClosesAConnectionThatHasHadNoCallForLong) {
  ServerProcess server({"--max-connection-idle=1s"});
  RawHttp2 connection(server.tcp());
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_connections") == 1; }));
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_connections") == 0; }));
}

}  // namespace
}  // namespace attend
