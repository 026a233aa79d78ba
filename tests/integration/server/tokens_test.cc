// SPDX-License-Identifier: Apache-2.0

// A server that asks for bearer tokens: who may call what, what each identity may hold, and a file
// of tokens that changes while the server runs.

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "attend/v1/attention.grpc.pb.h"
#include "core/base/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
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

TEST(Tokens, AreInNoLogAndNoError) {
  ServerProcess server({"--tokens=" + WriteTokens(Line("search", "secret-1")), "--log-sample=1"});
  EXPECT_TRUE(CallWith(server, "secret-1").status.ok());
  const CallResult wrong = CallWith(server, "secret-9");
  EXPECT_THAT(wrong.status.error_message() + wrong.details(), Not(HasSubstr("secret")));
  EXPECT_TRUE(Eventually(
      [&] { return server.process().Output().find("UNKNOWN_TOKEN") != std::string::npos; }));
  const std::string log = server.process().Output();
  EXPECT_THAT(log, HasSubstr("identity=\"search\""));
  EXPECT_THAT(log, Not(HasSubstr("secret")));
  EXPECT_THAT(log, Not(HasSubstr(Sha256Hex("secret-1").value())));
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

TEST(Tokens, HoldAStreamBackWithoutARefusal) {
  HoldableServer server({"--workers=1", "--batching=off",
                         "--tokens=" + WriteTokens(Line("few", "secret-1", "max-requests=2"))});
  server.Hold();
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer secret-1");
  const auto stream = v1::AttentionService::NewStub(server.Channel())->Pipeline(&context);
  constexpr int kRequests = 6;
  v1::PipelineRequest request;
  *request.mutable_scaled_dot_product_attention() = OperatorRequest(4, 1, 8);
  for (int i = 1; i <= kRequests; ++i) {
    request.set_id(static_cast<uint64_t>(i));
    ASSERT_TRUE(stream->Write(request));
  }
  ASSERT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_identity_requests", {"identity=\"few\""}) == 2;
  }));
  server.Release();
  v1::PipelineResponse response;
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_TRUE(response.has_scaled_dot_product_attention()) << response.DebugString();
  }
  EXPECT_EQ(Sum(server.Metrics(), "attend_identity_refusals_total", {"identity=\"few\""}), 0);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
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
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer secret-1");
  const auto stream = v1::AttentionService::NewStub(server.Channel())->Pipeline(&context);
  v1::PipelineRequest request;
  request.set_id(1);
  *request.mutable_scaled_dot_product_attention() = OperatorRequest(4, 1, 8);
  ASSERT_TRUE(stream->Write(request));
  v1::PipelineResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(response.has_scaled_dot_product_attention());
  WriteTokens(Line("other", "secret-2"));
  ASSERT_TRUE(Eventually([&] {
    return CallWith(server, "secret-1").status.error_code() == grpc::StatusCode::UNAUTHENTICATED;
  }));
  request.set_id(2);
  stream->Write(request);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
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
