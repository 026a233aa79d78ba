// SPDX-License-Identifier: Apache-2.0

// Streams of requests, over the wire.

#include <csignal>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "attend/v1/attention.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/pipeline_stream.h"
#include "tests/integration/server/raw_http2.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

using grpc::StatusCode;

constexpr char kPipelinePath[] = "/attend.v1.AttentionService/Pipeline";
const std::vector<std::string> kLayer = {"--random-layer=r:embed_dim=32,num_heads=2"};
const std::vector<std::string> kOneAtATime = {"--workers=1", "--batching=off"};

double CountRequests(const ServerProcess& server, const std::string& code) {
  return Sum(server.Metrics(), "attend_requests_total", {"code=\"" + code + "\""});
}

double CountStreams(const ServerProcess& server, const std::string& code) {
  return Sum(server.Metrics(), "grpc_server_handled_total",
             {"grpc_method=\"Pipeline\"", "grpc_code=\"" + code + "\""});
}

TEST(PipelineTest, AnswersEachRequestWithTheBitsOfAUnaryCallAndThenEnds) {
  ServerProcess server(kLayer);
  PipelineStream stream(server);
  std::map<uint64_t, std::string> expected;
  for (uint64_t id = 0; id < 20; ++id) {
    const auto rows = static_cast<int64_t>(1 + id % 7 * 5);
    CallResult unary;
    if (id % 2 == 0) {
      const v1::PipelineRequest request = PipelineStream::Layer(id, rows);
      unary = MakeCall(server.Channel(), kMultiHeadPath,
                       request.multi_head_attention().SerializeAsString());
      v1::MultiHeadAttentionResponse response;
      ASSERT_TRUE(response.ParseFromString(unary.response));
      expected[id] = response.output().SerializeAsString();
      stream.Send(request);
    } else {
      const v1::PipelineRequest request = PipelineStream::Operator(id, rows);
      unary = MakeCall(server.Channel(), kScaledDotProductPath,
                       request.scaled_dot_product_attention().SerializeAsString());
      v1::ScaledDotProductAttentionResponse response;
      ASSERT_TRUE(response.ParseFromString(unary.response));
      expected[id] = response.output().SerializeAsString();
      stream.Send(request);
    }
  }
  stream.HalfClose();
  for (int i = 0; i < 20; ++i) {
    const v1::PipelineResponse response = stream.Next();
    ASSERT_EQ(expected.count(response.id()), 1u) << response.ShortDebugString();
    const v1::Tensor& output = response.has_multi_head_attention()
                                   ? response.multi_head_attention().output()
                                   : response.scaled_dot_product_attention().output();
    EXPECT_EQ(output.SerializeAsString(), expected[response.id()]);
    expected.erase(response.id());
  }
  const grpc::Status end = stream.End();
  EXPECT_TRUE(end.ok()) << end.error_message();
  // Each request is counted as such, and the stream as a call of gRPC's.
  EXPECT_EQ(CountRequests(server, "OK"), 40);
  EXPECT_TRUE(Eventually([&] { return CountStreams(server, "OK") == 1; }));
  EXPECT_EQ(Sum(server.Metrics(), "attend_in_flight_bytes"), 0);
}

TEST(PipelineTest, AnswersInTheOrderInWhichRequestsAreDone) {
  HoldableServer server(kOneAtATime);
  HeldCall held(server);
  PipelineStream stream(server);
  v1::PipelineRequest low = PipelineStream::Operator(1), high = PipelineStream::Operator(2);
  low.mutable_scaled_dot_product_attention()->set_priority(v1::PRIORITY_LOW);
  high.mutable_scaled_dot_product_attention()->set_priority(v1::PRIORITY_HIGH);
  stream.Send(low);
  stream.Send(high);
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_queue_requests") == 2; }));
  held.Release();
  stream.ExpectResult(2);
  stream.ExpectResult(1);
}

TEST(PipelineTest, AnswersAFailedRequestWithItsStatusAndGoesOn) {
  ServerProcess server(kLayer);
  PipelineStream stream(server);
  v1::PipelineRequest unknown = PipelineStream::Layer(1, 3);
  unknown.mutable_multi_head_attention()->set_layer("no such");
  stream.Send(unknown);
  stream.ExpectError(1, StatusCode::NOT_FOUND, "UNKNOWN_LAYER");
  v1::PipelineRequest wrong = PipelineStream::Layer(2, 3);
  wrong.mutable_multi_head_attention()->mutable_query()->mutable_data()->pop_back();
  stream.Send(wrong);
  stream.ExpectError(2, StatusCode::INVALID_ARGUMENT, "SHAPE_MISMATCH");
  v1::PipelineRequest nothing;
  nothing.set_id(3);
  stream.Send(nothing);
  stream.ExpectError(3, StatusCode::INVALID_ARGUMENT, "MISSING_FIELD");
  v1::PipelineRequest expired = PipelineStream::Layer(4, 3);
  expired.mutable_timeout()->set_seconds(-1);
  stream.Send(expired);
  const v1::PipelineResponse late = stream.Next();
  EXPECT_EQ(late.id(), 4u);
  EXPECT_EQ(late.status().code(), StatusCode::DEADLINE_EXCEEDED);
  stream.Send(PipelineStream::Layer(5, 3));
  stream.ExpectResult(5);
  stream.HalfClose();
  EXPECT_TRUE(stream.End().ok());
  EXPECT_EQ(CountRequests(server, "OK"), 1);
  EXPECT_EQ(CountRequests(server, "INVALID_ARGUMENT"), 2);
}

TEST(PipelineTest, RefusesTheIdOfARequestThatIsNotAnsweredYet) {
  HoldableServer server(kOneAtATime);
  HeldCall held(server);
  PipelineStream stream(server);
  stream.Send(PipelineStream::Operator(7));
  stream.Send(PipelineStream::Operator(7));
  stream.ExpectError(7, StatusCode::INVALID_ARGUMENT, "DUPLICATE_ID");
  held.Release();
  stream.ExpectResult(7);
  stream.Send(PipelineStream::Operator(7));  // the id is free again
  stream.ExpectResult(7);
}

TEST(PipelineTest, CancelsARequestByItsId) {
  HoldableServer server(kOneAtATime);
  HeldCall held(server);
  PipelineStream stream(server);
  stream.Send(PipelineStream::Operator(1));
  stream.Send(PipelineStream::Operator(2));
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_queue_requests") == 2; }));
  stream.Cancel(1);
  stream.Cancel(77);  // nobody's
  const v1::PipelineResponse cancelled = stream.Next();
  EXPECT_EQ(cancelled.id(), 1u);
  EXPECT_EQ(cancelled.status().code(), StatusCode::CANCELLED);
  EXPECT_EQ(Sum(server.Metrics(), "attend_queue_requests"), 1);
  held.Release();
  stream.ExpectResult(2);
}

TEST(PipelineTest, EndsARequestAtItsOwnDeadline) {
  HoldableServer server(kOneAtATime);
  HeldCall held(server);
  PipelineStream stream(server);
  v1::PipelineRequest request = PipelineStream::Operator(1);
  // Longer than the held call has run, or the server would say that the deadline cannot be met.
  request.mutable_timeout()->set_seconds(2);
  stream.Send(request);
  stream.Send(PipelineStream::Operator(2));
  stream.ExpectError(1, StatusCode::DEADLINE_EXCEEDED, "EXPIRED");
  held.Release();
  stream.ExpectResult(2);
}

TEST(PipelineTest, CancelsAllRequestsOfAStreamWhoseCallerGoes) {
  HoldableServer server(kOneAtATime);
  HeldCall held(server);
  {
    PipelineStream stream(server);
    for (uint64_t id = 1; id <= 3; ++id) stream.Send(PipelineStream::Operator(id));
    ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_queue_requests") == 3; }));
    stream.TryCancel();
    EXPECT_EQ(stream.End().error_code(), StatusCode::CANCELLED);
  }
  EXPECT_TRUE(Eventually([&] { return CountRequests(server, "CANCELLED") == 3; }));
  EXPECT_TRUE(Eventually([&] { return CountStreams(server, "Canceled") == 1; }));
  EXPECT_EQ(Sum(server.Metrics(), "attend_queue_requests"), 0);
  EXPECT_TRUE(held.Release().status.ok());
}

// A server that read more than four requests would refuse what its queue of three has no room for.
TEST(PipelineTest, ReadsNoMoreRequestsThanItMayHoldUnanswered) {
  std::vector<std::string> flags = kOneAtATime;
  flags.insert(flags.end(),
               {"--max-concurrent-streams=3", "--max-queue-requests=3", "--max-queue-delay=1m"});
  HoldableServer server(flags);
  HeldCall held(server);
  PipelineStream stream(server);
  for (uint64_t id = 1; id <= 30; ++id) stream.Send(PipelineStream::Operator(id));
  stream.HalfClose();
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_queue_requests") == 3; }));
  held.Release();
  for (uint64_t id = 1; id <= 30; ++id) stream.ExpectResult(id);
  EXPECT_TRUE(stream.End().ok());
}

// A third request was read as soon as the share had a byte left, and refused.
TEST(PipelineTest, HoldsRequestsBackThatTheShareOfItsCallerHasNoRoomFor) {
  std::vector<std::string> flags = kOneAtATime;
  // Room for two and a half requests of 16 KiB.
  flags.insert(flags.end(), {"--max-caller-bytes=40KiB", "--max-queue-delay=10m"});
  HoldableServer server(flags);
  HeldCall held(server);
  PipelineStream stream(server);
  constexpr uint64_t kRequests = 20;
  v1::PipelineRequest request = PipelineStream::Operator(0, 1);
  v1::ScaledDotProductAttentionRequest& attention = *request.mutable_scaled_dot_product_attention();
  attention.clear_key();
  attention.clear_value();
  FillTensor({1, 256, 1, 8}, *attention.mutable_key());
  FillTensor({1, 256, 1, 8}, *attention.mutable_value());
  std::thread sender([&] {
    for (uint64_t id = 1; id <= kRequests; ++id) {
      request.set_id(id);
      stream.Send(request);
    }
    stream.HalfClose();
  });
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_queue_requests") == 2; }));
  held.Release();
  for (uint64_t id = 1; id <= kRequests; ++id) stream.ExpectResult(id);
  sender.join();
  EXPECT_TRUE(stream.End().ok());
  EXPECT_EQ(Sum(server.Metrics(), "attend_rejected_total"), 0);
}

TEST(PipelineTest, EndsWithInvalidArgumentWhereAMessageIsNone) {
  ServerProcess server;
  RawHttp2 connection(server.tcp());
  connection.StartCall(kPipelinePath, "");
  connection.SendData(std::string("\0\0\0\0\3\xff\xff\xff", 8), false);
  EXPECT_TRUE(connection.WaitForEnd());
  EXPECT_TRUE(Eventually([&] { return CountStreams(server, "InvalidArgument") == 1; }));
}

TEST(PipelineTest, AnswersWhatRunsAndThenEndsWhenTheServerDrains) {
  HoldableServer server({"--workers=1", "--batching=off", "--drain-timeout=10m"});
  PipelineStream idle(server);
  idle.Send(PipelineStream::Operator(1));
  idle.ExpectResult(1);
  HeldCall held(server);
  PipelineStream busy(server);
  busy.Send(PipelineStream::Operator(2));
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_queue_requests") == 1; }));
  server.process().Signal(SIGTERM);
  EXPECT_EQ(idle.End().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_TRUE(held.Release().status.ok());
  busy.ExpectResult(2);
  EXPECT_EQ(busy.End().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.process().Wait(), 0);
}

TEST(PipelineTest, ReturnsTheMemoryOfAnUnreadAnswerAtItsDeadline) {
  ServerProcess server({"--max-deadline=2s"});
  RawHttp2 connection(server.tcp());
  connection.StartCall(kPipelinePath, "");
  v1::PipelineRequest request;
  request.set_id(1);
  *request.mutable_scaled_dot_product_attention() = LargeAnswerRequest(1024);
  // The connection lets 64 KiB of the 8 MiB pass.
  connection.SendMessage(request.SerializeAsString());
  ASSERT_TRUE(Eventually([&] { return CountRequests(server, "OK") == 1; }));
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_in_flight_bytes") == 0; }));
}

// The first answer fills the connection, and the second expires behind it: its caller would get
// DEADLINE_EXCEEDED, so it is not counted as OK.
TEST(PipelineTest, CountsAResultThatExpiresBeforeItLeavesAsItsCallerWouldSeeIt) {
  ServerProcess server;
  RawHttp2 connection(server.tcp());
  connection.StartCall(kPipelinePath, "");
  v1::PipelineRequest blocking;
  blocking.set_id(1);
  *blocking.mutable_scaled_dot_product_attention() = LargeAnswerRequest(1024);
  const std::string bytes = blocking.SerializeAsString();
  const auto size = static_cast<uint32_t>(bytes.size());
  std::string prefix(5, '\0');
  for (int i = 0; i < 4; ++i) prefix[static_cast<size_t>(4 - i)] = static_cast<char>(size >> 8 * i);
  connection.SendData(prefix + bytes, false);
  ASSERT_TRUE(Eventually([&] { return CountRequests(server, "OK") == 1; }));
  v1::PipelineRequest expiring = PipelineStream::Operator(2);
  expiring.mutable_timeout()->set_seconds(2);
  connection.SendMessage(expiring.SerializeAsString());
  // It has been computed, and waits.
  ASSERT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_stage_duration_seconds_count", {"stage=\"encode\""}) == 2;
  }));
  const double held = Sum(server.Metrics(), "attend_in_flight_bytes");
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_in_flight_bytes") < held; }));
  connection.OpenWindows();
  EXPECT_TRUE(connection.WaitForEnd());
  EXPECT_EQ(CountRequests(server, "DEADLINE_EXCEEDED"), 1);
  EXPECT_EQ(CountRequests(server, "OK"), 1);
}

// A window of nothing lets not even a status pass, which must not keep the stream, and a server
// that drains, for ever.
TEST(PipelineTest, EndsAStreamWhoseCallerReadsNoStatus) {
  ServerProcess server({"--max-deadline=1s", "--drain-timeout=10m"});
  RawHttp2 connection(server.tcp());
  connection.CloseWindow();
  connection.StartCall(kPipelinePath, "");
  v1::PipelineRequest request = PipelineStream::Layer(1, 3);
  connection.SendMessage(request.SerializeAsString());
  ASSERT_TRUE(Eventually([&] { return CountRequests(server, "NOT_FOUND") == 1; }));
  EXPECT_TRUE(Eventually([&] { return CountStreams(server, "Canceled") == 1; }));
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
}

TEST(PipelineTest, CountsAStreamWhoseConnectionIsLostAsCancelled) {
  ServerProcess server;
  {
    RawHttp2 connection(server.tcp());
    connection.StartCall(kPipelinePath, "");
    ASSERT_TRUE(
        Eventually([&] { return Sum(server.Metrics(), "grpc_server_started_total") == 1; }));
  }
  EXPECT_TRUE(Eventually([&] { return CountStreams(server, "Canceled") == 1; }));
}

}  // namespace
}  // namespace attend
