// SPDX-License-Identifier: Apache-2.0

// A server that asks for bearer tokens: who may call what, what each identity may hold, and a file
// of tokens that changes while the server runs.

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "attend/v1/attention.grpc.pb.h"
#include "core/base/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/pipeline_stream.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kHealthPath[] = "/grpc.health.v1.Health/Check";
constexpr char kReflectionPath[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr char kInfoPath[] = "/attend.v1.ServerService/GetServerInfo";

std::string Line(const std::string& name, const std::string& token, const std::string& rest = "") {
  return absl::StrCat(name, " sha256=", Sha256Hex(token).value(), " ", rest, "\n");
}

// Puts the file of tokens into place at once, and returns its path.
std::string WriteTokens(const std::string& text) {
  const std::string path = TestPath("tokens");
  std::ofstream(path + ".new") << text;
  std::filesystem::rename(path + ".new", path);
  return path;
}

Call::Options WithToken(const std::string& token) {
  return {.metadata = {{"authorization", "Bearer " + token}}};
}

CallResult CallWith(const ServerProcess& server, const std::string& token,
                    const std::string& path = kScaledDotProductPath,
                    const std::string& request = ShortRequest()) {
  return MakeCall(server.Channel(), path, request, WithToken(token));
}

void SendShort(PipelineStream& stream, uint64_t id) {
  stream.Send(PipelineStream::Operator(id, /*rows=*/4));
}

// The next answer is a result.
void ExpectResult(PipelineStream& stream) {
  const v1::PipelineResponse response = stream.Next();
  EXPECT_TRUE(response.has_scaled_dot_product_attention()) << response.ShortDebugString();
}

TEST(Tokens, LetOnlyThoseCallWhoShowOne) {
  const ServerProcess server({"--tokens=" + WriteTokens(Line("search", "secret-1") +
                                                        Line("ops", "secret-2", "scope=admin"))});
  EXPECT_TRUE(CallWith(server, "secret-1").status.ok());
  EXPECT_TRUE(CallWith(server, "secret-1", kInfoPath, "").status.ok());
  EXPECT_TRUE(CallWith(server, "secret-2", kInfoPath, "").status.ok());

  for (const char* path : {kScaledDotProductPath, kInfoPath, kReflectionPath, "/no.such/Method"}) {
    SCOPED_TRACE(path);
    const CallResult missing = MakeCall(server.Channel(), path, "");
    EXPECT_EQ(missing.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_THAT(missing.details(), HasSubstr("NO_TOKEN"));
    EXPECT_TRUE(missing.has_trailer("x-request-id"));
    const CallResult wrong = CallWith(server, "secret-9", path);
    EXPECT_EQ(wrong.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_THAT(wrong.details(), HasSubstr("UNKNOWN_TOKEN"));
  }
  grpc::ClientContext two;
  two.AddMetadata("authorization", "Bearer secret-1");
  two.AddMetadata("authorization", "Bearer secret-9");
  v1::ScaledDotProductAttentionResponse response;
  EXPECT_EQ(v1::AttentionService::NewStub(server.Channel())
                ->ScaledDotProductAttention(&two, OperatorRequest(4, 1, 8), &response)
                .error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  const CallResult admin = CallWith(server, "secret-2");
  EXPECT_EQ(admin.status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(admin.status.error_message(), HasSubstr("needs scope call"));
  EXPECT_EQ(CallWith(server, "secret-1", kReflectionPath).status.error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  // Probes have no token.
  EXPECT_TRUE(MakeCall(server.Channel(), kHealthPath, "").status.ok());
  // Those who use the socket need one, too.
  EXPECT_EQ(MakeCall(ServerProcess::Channel(server.unix_socket()), kScaledDotProductPath, "")
                .status.error_code(),
            grpc::StatusCode::UNAUTHENTICATED);

  const auto metrics = server.Metrics();
  EXPECT_EQ(Sum(metrics, "attend_rejected_total", {"reason=\"unauthenticated\""}), 10);
  EXPECT_EQ(Sum(metrics, "attend_rejected_total", {"reason=\"permission_denied\""}), 2);
}

TEST(Tokens, AreInNoLogNoErrorAndNoMetric) {
  ServerProcess server({"--tokens=" + WriteTokens(Line("search", "secret-1")), "--log-sample=1"});
  EXPECT_TRUE(CallWith(server, "secret-1").status.ok());
  const CallResult wrong = CallWith(server, "secret-9");
  EXPECT_THAT(wrong.status.error_message() + wrong.details(), Not(HasSubstr("secret")));
  EXPECT_TRUE(Eventually(
      [&] { return server.process().Output().find("UNKNOWN_TOKEN") != std::string::npos; }));
  const std::string log = server.process().Output();
  EXPECT_THAT(log, HasSubstr("identity=\"search\""));
  const std::string metrics = HttpGet(server.metrics_address(), "/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("identity=\"search\""));
  for (const std::string& text : {log, metrics}) {
    EXPECT_THAT(text, Not(HasSubstr("secret")));
    EXPECT_THAT(text, Not(HasSubstr(Sha256Hex("secret-1").value())));
  }
}

TEST(Tokens, MayLeaveReflectionOpen) {
  const ServerProcess server(
      {"--tokens=" + WriteTokens(Line("search", "secret-1")), "--public-reflection=on"});
  EXPECT_NE(MakeCall(server.Channel(), kReflectionPath, "").status.error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(MakeCall(server.Channel(), kInfoPath, "").status.error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
}

TEST(Tokens, FollowTheirFile) {
  const std::string path = WriteTokens(Line("search", "secret-1"));
  ServerProcess server({"--tokens=" + path});
  ASSERT_TRUE(CallWith(server, "secret-1").status.ok());
  WriteTokens(Line("search", "secret-2"));
  EXPECT_TRUE(Eventually([&] { return CallWith(server, "secret-2").status.ok(); }));
  EXPECT_EQ(CallWith(server, "secret-1").status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  WriteTokens("search\n");
  EXPECT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_token_reloads_total", {"result=\"refused\""}) == 1;
  }));
  EXPECT_TRUE(CallWith(server, "secret-2").status.ok());
}

TEST(Tokens, BoundThePriorityAndTheMemoryOfAnIdentity) {
  const ServerProcess server(
      {"--tokens=" + WriteTokens(Line("batch", "secret-1", "max-priority=low max-bytes=64KiB"))});
  v1::ScaledDotProductAttentionRequest request = OperatorRequest(4, 1, 8);
  EXPECT_EQ(CallWith(server, "secret-1", kScaledDotProductPath, request.SerializeAsString())
                .status.error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  request.set_priority(v1::PRIORITY_LOW);
  EXPECT_TRUE(
      CallWith(server, "secret-1", kScaledDotProductPath, request.SerializeAsString()).status.ok());
  v1::ScaledDotProductAttentionRequest large = OperatorRequest(1024, 1, 64);
  large.set_priority(v1::PRIORITY_LOW);
  const CallResult refused =
      CallWith(server, "secret-1", kScaledDotProductPath, large.SerializeAsString());
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.details(), HasSubstr("TOO_LARGE"));
  EXPECT_FALSE(refused.has_trailer("grpc-retry-pushback-ms"));
}

TEST(Tokens, BoundTheRequestsInFlightOfOneIdentityAlone) {
  HoldableServer server({"--workers=1", "--batching=off",
                         "--tokens=" + WriteTokens(Line("few", "secret-1", "max-requests=2") +
                                                   Line("other", "secret-2"))});
  server.Hold();
  Call first(server.Channel(), kScaledDotProductPath, ShortRequest(), WithToken("secret-1"));
  Call second(server.Channel(), kScaledDotProductPath, ShortRequest(), WithToken("secret-1"));
  ASSERT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_identity_requests", {"identity=\"few\""}) == 2;
  }));
  EXPECT_GT(Sum(server.Metrics(), "attend_identity_bytes", {"identity=\"few\""}), 0);
  const CallResult third = CallWith(server, "secret-1");
  EXPECT_EQ(third.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(third.details(), HasSubstr("QUOTA_REQUESTS"));
  EXPECT_TRUE(third.has_trailer("grpc-retry-pushback-ms"));
  Call other(server.Channel(), kScaledDotProductPath, ShortRequest(), WithToken("secret-2"));
  server.Release();
  for (Call* call : {&first, &second, &other}) EXPECT_TRUE(call->Wait().status.ok());
  // Answers come before the server has forgotten their requests.
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_identity_requests") == 0; }));
  EXPECT_EQ(Sum(server.Metrics(), "attend_identity_bytes"), 0);
  EXPECT_TRUE(CallWith(server, "secret-1").status.ok());
  const auto metrics = server.Metrics();
  EXPECT_EQ(Sum(metrics, "attend_identity_refusals_total", {"identity=\"few\""}), 1);
  EXPECT_EQ(Sum(metrics, "attend_identity_refusals_total", {"identity=\"other\""}), 0);
  EXPECT_GT(Sum(metrics, "attend_identity_computed_seconds_total", {"identity=\"other\""}), 0);
}

TEST(Tokens, TellCallersApartWhateverTheirAddress) {
  HoldableServer server(
      {"--workers=1", "--batching=off", "--max-caller-calls=1",
       "--tokens=" + WriteTokens(Line("one", "secret-1") + Line("other", "secret-2"))});
  const auto open_calls = [&] { return Sum(server.Metrics(), "attend_calls"); };
  server.Hold();
  Call first(server.Channel(), kScaledDotProductPath, ShortRequest(), WithToken("secret-1"));
  ASSERT_TRUE(Eventually([&] { return open_calls() == 1; }));
  const CallResult elsewhere =
      MakeCall(ServerProcess::Channel(server.unix_socket()), kScaledDotProductPath, ShortRequest(),
               WithToken("secret-1"));
  EXPECT_EQ(elsewhere.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(elsewhere.details(), HasSubstr("CALLER_CALLS"));
  Call other(server.Channel(), kScaledDotProductPath, ShortRequest(), WithToken("secret-2"));
  EXPECT_TRUE(Eventually([&] { return open_calls() == 2; }));
  server.Release();
  for (Call* call : {&first, &other}) EXPECT_TRUE(call->Wait().status.ok());
}

// Sends a stream of requests of which `limit` lets at least two be in flight, and not all.
void ExpectHeldBack(const std::string& limit) {
  HoldableServer server({"--workers=1", "--batching=off", "--max-queue-delay=10m",
                         "--tokens=" + WriteTokens(Line("few", "secret-1", limit))});
  server.Hold();
  PipelineStream stream(server, "secret-1");
  constexpr int kRequests = 20;
  for (int i = 1; i <= kRequests; ++i) SendShort(stream, static_cast<uint64_t>(i));
  ASSERT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_identity_requests", {"identity=\"few\""}) >= 2;
  }));
  server.Release();
  for (int i = 0; i < kRequests; ++i) ExpectResult(stream);
  EXPECT_EQ(Sum(server.Metrics(), "attend_identity_refusals_total", {"identity=\"few\""}), 0);
  stream.HalfClose();
  EXPECT_TRUE(stream.End().ok());
}

TEST(Tokens, HoldAStreamBackWithoutARefusalByRequests) {
  ExpectHeldBack("max-requests=2");
}

// A request takes less than a KiB, its answer included.
TEST(Tokens, HoldAStreamBackWithoutARefusalByMemory) {
  ExpectHeldBack("max-bytes=3KiB");
}

// Of a server that computes one request at a time and logs the end of each.
std::vector<std::string> FlagsOfTurns() {
  return {"--workers=1",
          "--batching=off",
          "--log-sample=1",
          "--max-queue-delay=10m",
          "--priority-aging=10m",
          "--tokens=" + WriteTokens(Line("held", "secret-0") + Line("many", "secret-1") +
                                    Line("one", "secret-2"))};
}

// Whose the requests were that have ended, in the order of their ends.
std::vector<std::string> LoggedIdentities(ServerProcess& server) {
  std::vector<std::string> identities;
  for (const absl::string_view line : absl::StrSplit(server.process().Output(), '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, " identity=\"");
    if (parts.size() == 2) identities.emplace_back(parts[1].substr(0, parts[1].find('"')));
  }
  return identities;
}

// The one request comes last, and waits for one of the many.
void ExpectTurnsOfManyAndOne(ServerProcess& server) {
  EXPECT_TRUE(Eventually([&] { return LoggedIdentities(server).size() >= 6; }));
  EXPECT_THAT(LoggedIdentities(server),
              testing::ElementsAre("held", "many", "one", "many", "many", "many"));
}

void WaitForQueue(const ServerProcess& server, int requests) {
  ASSERT_TRUE(
      Eventually([&] { return Sum(server.Metrics(), "attend_queue_requests") == requests; }));
}

TEST(Tokens, TakeTurnsByIdentityWhateverTheirAddress) {
  HoldableServer server(FlagsOfTurns());
  HeldCall held(server, WithToken("secret-0"));
  std::vector<std::unique_ptr<Call>> calls;
  for (const char* token : {"secret-1", "secret-1", "secret-1", "secret-1", "secret-2"}) {
    calls.push_back(std::make_unique<Call>(server.Channel(), kScaledDotProductPath, ShortRequest(),
                                           WithToken(token)));
    WaitForQueue(server, static_cast<int>(calls.size()));
  }
  EXPECT_TRUE(held.Release().status.ok());
  for (const auto& call : calls) EXPECT_TRUE(call->Wait().status.ok());
  ExpectTurnsOfManyAndOne(server);
}

TEST(Tokens, TakeTurnsInStreamsByIdentityWhateverTheirAddress) {
  HoldableServer server(FlagsOfTurns());
  HeldCall held(server, WithToken("secret-0"));
  PipelineStream many(server, "secret-1"), one(server, "secret-2");
  for (uint64_t id = 1; id <= 4; ++id) SendShort(many, id);
  WaitForQueue(server, 4);
  SendShort(one, 1);
  WaitForQueue(server, 5);
  EXPECT_TRUE(held.Release().status.ok());
  ExpectResult(one);
  for (int i = 0; i < 4; ++i) ExpectResult(many);
  ExpectTurnsOfManyAndOne(server);
}

TEST(Tokens, ShareMemoryByIdentityWhateverTheirAddress) {
  HoldableServer server(
      {"--workers=1", "--batching=off", "--max-caller-bytes=1MiB",
       "--tokens=" + WriteTokens(Line("large", "secret-1") + Line("other", "secret-2"))});
  server.Hold();
  // It may exceed the share, because its identity has no other.
  Call large(server.Channel(), kScaledDotProductPath,
             OperatorRequest(2048, 1, 64).SerializeAsString(), WithToken("secret-1"));
  ASSERT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_identity_bytes", {"identity=\"large\""}) > 1 << 20;
  }));
  EXPECT_THAT(CallWith(server, "secret-1").details(), HasSubstr("CALLER_MEMORY"));
  PipelineStream refused(server, "secret-1");  // before a request of it is read
  EXPECT_THAT(refused.End().error_details(), HasSubstr("CALLER_MEMORY"));
  Call other(server.Channel(), kScaledDotProductPath, ShortRequest(), WithToken("secret-2"));
  PipelineStream stream(server, "secret-2");
  SendShort(stream, 1);
  ASSERT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_identity_requests", {"identity=\"other\""}) == 2;
  }));
  server.Release();
  for (Call* call : {&large, &other}) EXPECT_TRUE(call->Wait().status.ok());
  ExpectResult(stream);
}

TEST(Tokens, BoundTheMemoryInFlightOfOneIdentityAlone) {
  HoldableServer server({"--workers=1", "--batching=off",
                         "--tokens=" + WriteTokens(Line("little", "secret-1", "max-bytes=64KiB") +
                                                   Line("other", "secret-2"))});
  const std::string request = OperatorRequest(40, 1, 64).SerializeAsString();
  ASSERT_GT(request.size(), 24u << 10);
  server.Hold();
  Call first(server.Channel(), kScaledDotProductPath, request, WithToken("secret-1"));
  ASSERT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_identity_requests", {"identity=\"little\""}) == 1;
  }));
  const CallResult second = CallWith(server, "secret-1", kScaledDotProductPath, request);
  EXPECT_EQ(second.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(second.details(), HasSubstr("QUOTA_MEMORY"));
  EXPECT_TRUE(second.has_trailer("grpc-retry-pushback-ms"));
  const auto metrics = server.Metrics();
  EXPECT_EQ(Sum(metrics, "attend_rejected_total", {"reason=\"quota_memory\""}), 1);
  EXPECT_EQ(Sum(metrics, "attend_identity_refusals_total", {"identity=\"little\""}), 1);
  Call small(server.Channel(), kScaledDotProductPath, ShortRequest(), WithToken("secret-1"));
  Call other(server.Channel(), kScaledDotProductPath, request, WithToken("secret-2"));
  server.Release();
  for (Call* call : {&first, &small, &other}) EXPECT_TRUE(call->Wait().status.ok());
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_identity_bytes") == 0; }));
  EXPECT_TRUE(CallWith(server, "secret-1", kScaledDotProductPath, request).status.ok());
}

TEST(Tokens, BoundThePredictedTimeOfAnIdentity) {
  const ServerProcess server(
      {"--tokens=" + WriteTokens(Line("slow", "secret-1", "max-compute=0.000001"))});
  // The first one goes into debt, and a millionth of a second per second pays it off slowly.
  EXPECT_TRUE(CallWith(server, "secret-1").status.ok());
  const CallResult second = CallWith(server, "secret-1");
  EXPECT_EQ(second.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(second.details(), HasSubstr("QUOTA_COMPUTE"));
}

TEST(Tokens, PayNothingForARequestThatMemoryRefuses) {
  const ServerProcess server(
      {"--tokens=" +
       WriteTokens(Line("small", "secret-1", "max-bytes=1MiB max-compute=0.000001"))});
  const CallResult large = CallWith(server, "secret-1", kScaledDotProductPath,
                                    LargeAnswerRequest(1024).SerializeAsString());
  EXPECT_EQ(large.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(large.details(), HasSubstr("TOO_LARGE"));
  EXPECT_TRUE(CallWith(server, "secret-1").status.ok());
}

TEST(Tokens, EndAStreamOnceTheyAreWithdrawn) {
  const std::string path = WriteTokens(Line("search", "secret-1") + Line("other", "secret-2"));
  const ServerProcess server({"--tokens=" + path});
  PipelineStream stream(server, "secret-1");
  SendShort(stream, 1);
  ExpectResult(stream);
  WriteTokens(Line("other", "secret-2"));
  ASSERT_TRUE(Eventually([&] {
    return CallWith(server, "secret-1").status.error_code() == grpc::StatusCode::UNAUTHENTICATED;
  }));
  SendShort(stream, 2);
  EXPECT_EQ(stream.End().error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST(Tokens, AreCheckedBeforeTheServerServes) {
  const std::string path = WriteTokens("search sha256=12\nops\n");
  Process server(ATTEND_SERVER, {"--listen=127.0.0.1:0", "--metrics-listen=", "--tokens=" + path});
  EXPECT_EQ(server.Wait(), 1);
  EXPECT_THAT(server.Output(), HasSubstr("tokens:1: sha256: must be the SHA-256 of the token"));
  EXPECT_THAT(server.Output(), HasSubstr("tokens:2: \\\"ops\\\" has no token"));
}

}  // namespace
}  // namespace attend
