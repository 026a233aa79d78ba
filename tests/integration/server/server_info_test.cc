// SPDX-License-Identifier: Apache-2.0

// What ServerService tells of a server.

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "attend/v1/server.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

TEST(ServerInfoTest, TellsCallersHowLongARequestMayCompute) {
  ServerProcess server({"--max-request-compute=1500ms"});
  const CallResult result =
      MakeCall(server.Channel(), "/attend.v1.ServerService/GetServerInfo", "");
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  v1::ServerInfo info;
  ASSERT_TRUE(info.ParseFromString(result.response));
  EXPECT_EQ(info.limits().max_request_compute_ms(), 1500);
}

TEST(ServerInfoTest, ReportsEveryLimitThatItWasGiven) {
  const ServerProcess server(
      {"--workers=1", "--max-request-bytes=1MiB", "--max-in-flight-bytes=64MiB",
       "--max-queue-requests=7", "--max-sequence-length=5000", "--max-weights-bytes=2MiB",
       "--max-deadline=9s", "--max-concurrent-streams=11", "--max-response-bytes=3MiB",
       "--max-heads=12", "--max-batch-tokens=6000", "--max-calls=13", "--max-caller-calls=9",
       "--max-caller-bytes=5MiB", "--max-queue-time=17s", "--max-queue-delay=70ms"});
  const absl::Time before = absl::Now();
  const auto stub = v1::ServerService::NewStub(server.Channel());
  grpc::ClientContext context;
  v1::ServerInfo info;
  ASSERT_TRUE(stub->GetServerInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.workers(), 1);
  EXPECT_GT(info.start_time().seconds(), 1'700'000'000);
  EXPECT_LE(info.start_time().seconds(), absl::ToUnixSeconds(before));
  const v1::Limits& limits = info.limits();
  EXPECT_EQ(limits.max_request_bytes(), 1 << 20);
  // The engine keeps at most an eighth between batches.
  EXPECT_THAT(limits.max_in_flight_bytes(),
              testing::AllOf(testing::Ge(56 << 20), testing::Lt(64 << 20)));
  EXPECT_EQ(limits.max_queue_requests(), 7);
  EXPECT_EQ(limits.max_sequence_length(), 5000);
  EXPECT_EQ(limits.max_weights_bytes(), 2 << 20);
  EXPECT_EQ(limits.max_deadline_ms(), 9000);
  EXPECT_EQ(limits.max_concurrent_streams(), 11);
  EXPECT_EQ(limits.max_response_bytes(), 3 << 20);
  EXPECT_EQ(limits.max_heads(), 12);
  EXPECT_EQ(limits.max_head_dim(), 4096);
  EXPECT_EQ(limits.max_rows(), 6000) << "the larger of sequence length and batch tokens";
  EXPECT_EQ(limits.max_sequences(), 6000);
  EXPECT_EQ(limits.max_layer_name_bytes(), 256);
  EXPECT_EQ(limits.max_calls(), 13);
  EXPECT_EQ(limits.max_caller_calls(), 9);
  EXPECT_EQ(limits.max_caller_bytes(), 5 << 20);
  EXPECT_EQ(limits.max_queue_time_ms(), 17'000);
  EXPECT_EQ(limits.max_queue_delay_ms(), 70);
  EXPECT_EQ(limits.max_metadata_bytes(), 8 << 10);
}

// What a build tells of itself is the same everywhere, and a limit that is added to the contract is
// filled in.
TEST(ServerInfoTest, TellsItsRevisionAndEveryLimitByDefault) {
  const ServerProcess server;
  const auto stub = v1::ServerService::NewStub(server.Channel());
  grpc::ClientContext context;
  v1::ServerInfo info;
  ASSERT_TRUE(stub->GetServerInfo(&context, {}, &info).ok());
  EXPECT_THAT(info.revision(), MatchesRegex("unknown|[0-9a-f]{40,}"));
  const std::string revision = absl::StrCat("revision=\"", info.revision(), "\"");
  EXPECT_EQ(Sum(server.Metrics(), "attend_build_info", {revision}), 1);
  EXPECT_THAT(HttpGet(server.metrics_address(), "/").body,
              HasSubstr(absl::StrCat("revision ", info.revision(), ",")));
  for (int i = 0; i < v1::Limits::descriptor()->field_count(); ++i) {
    const auto* field = v1::Limits::descriptor()->field(i);
    EXPECT_GT(v1::Limits::GetReflection()->GetInt64(info.limits(), field), 0) << field->name();
  }
}

}  // namespace
}  // namespace attend
