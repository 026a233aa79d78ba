// SPDX-License-Identifier: Apache-2.0

// Every row of the contract's table of status codes, provoked over the wire.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/raw_http2.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

constexpr char kPushback[] = "grpc-retry-pushback-ms";
const std::vector<std::string> kSmallLayer = {"--random-layer=small:embed_dim=16,num_heads=2"};

void ExpectError(const CallResult& result, StatusCode code, const std::string& reason,
                 const std::string& text) {
  EXPECT_EQ(result.status.error_code(), code) << result.status.error_message();
  EXPECT_THAT(result.status.error_message(), HasSubstr(text));
  EXPECT_THAT(result.details(), HasSubstr("type.googleapis.com/google.rpc.ErrorInfo"));
  EXPECT_THAT(result.details(), HasSubstr(reason));
}

// Requests that the server refuses at once; one server serves all of them.
class RefusalTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new ServerProcess(kSmallLayer); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }

  static CallResult Send(const std::string& bytes) {
    return MakeCall(server_->Channel(), kMultiHeadPath, bytes);
  }
  static CallResult Send(const v1::MultiHeadAttentionRequest& request) {
    return Send(request.SerializeAsString());
  }
  static void ExpectInvalid(const v1::MultiHeadAttentionRequest& request,
                            const std::string& field) {
    const CallResult result = Send(request);
    ExpectError(result, StatusCode::INVALID_ARGUMENT, field, field);
    EXPECT_FALSE(result.has_trailer(kPushback));
  }

  static ServerProcess* server_;
};
ServerProcess* RefusalTest::server_ = nullptr;

TEST_F(RefusalTest, AnswersAFittingRequestWithOk) {
  const CallResult result = Send(LayerRequest("small", 3, 16));
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  v1::MultiHeadAttentionResponse response;
  ASSERT_TRUE(response.ParseFromString(result.response));
  EXPECT_EQ(response.output().data().size(), 3u * 16 * 4);
  EXPECT_EQ(response.layer_sha256().size(), 64u);
  EXPECT_GE(response.timing().batch_requests(), 1);
}

TEST_F(RefusalTest, AnswersAnUnknownLayerWithNotFound) {
  ExpectError(Send(LayerRequest("none", 3, 16)), StatusCode::NOT_FOUND, "UNKNOWN_LAYER",
              "ListLayers");
}

TEST_F(RefusalTest, AnswersShapesThatDoNotFitWithInvalidArgument) {
  ExpectInvalid(LayerRequest("small", 3, 17), "query");
  v1::MultiHeadAttentionRequest request = LayerRequest("small", 3, 16);
  FillTensor({2, 3, 16}, *request.mutable_key());
  ExpectInvalid(request, "key");
}

TEST_F(RefusalTest, AnswersLengthsThatDoNotFitWithInvalidArgument) {
  v1::MultiHeadAttentionRequest request = LayerRequest("small", 3, 16);
  request.add_query_lengths(4);
  ExpectInvalid(request, "query_lengths");
}

TEST_F(RefusalTest, AnswersTypesThatDoNotFitWithInvalidArgument) {
  v1::MultiHeadAttentionRequest request = LayerRequest("small", 4, 16);
  request.mutable_query()->set_data_type(v1::DATA_TYPE_BOOL);
  ExpectInvalid(request, "query");
}

TEST_F(RefusalTest, AnswersContradictingOptionsWithInvalidArgument) {
  v1::MultiHeadAttentionRequest request = LayerRequest("small", 3, 16);
  request.mutable_options()->set_causal(true);
  request.mutable_options()->set_alignment(v1::ALIGNMENT_START);
  request.mutable_options()->add_query_offsets(0);
  ExpectInvalid(request, "options");
}

TEST_F(RefusalTest, AnswersAnUnknownEnumValueWithInvalidArgument) {
  v1::MultiHeadAttentionRequest request = LayerRequest("small", 3, 16);
  request.mutable_options()->set_weights(static_cast<v1::Weights>(99));
  ExpectInvalid(request, "options.weights");
}

TEST_F(RefusalTest, AnswersABooleanThatIsNeither0Nor1WithInvalidArgument) {
  v1::MultiHeadAttentionRequest request = LayerRequest("small", 3, 16);
  v1::Tensor& mask = *request.mutable_options()->mutable_mask();
  mask.set_data_type(v1::DATA_TYPE_BOOL);
  mask.add_shape(3);
  mask.set_data(std::string("\0\1\2", 3));
  ExpectInvalid(request, "options.mask");
}

// Heads of value may be much wider than those of query, so 477 KiB would return 1.9 GiB.
TEST_F(RefusalTest, AnswersAResponseAboveTheLimitWithInvalidArgument) {
  v1::ScaledDotProductAttentionRequest request;
  FillTensor({1, 1907, 64, 1}, *request.mutable_query());
  FillTensor({1, 1, 1, 1}, *request.mutable_key());
  FillTensor({1, 1, 1, 4096}, *request.mutable_value());
  const CallResult result =
      MakeCall(server_->Channel(), kScaledDotProductPath, request.SerializeAsString());
  ExpectError(result, StatusCode::INVALID_ARGUMENT, "RESPONSE_TOO_LARGE",
              "the response may have 268435456 bytes on this server; it would have 1999634432");
  EXPECT_FALSE(result.has_trailer(kPushback));
}

TEST_F(RefusalTest, AnswersMoreHeadsThanAllowedWithInvalidArgument) {
  const CallResult result = MakeCall(server_->Channel(), kScaledDotProductPath,
                                     OperatorRequest(1, 1025, 1).SerializeAsString());
  ExpectError(result, StatusCode::INVALID_ARGUMENT, "query", "from 1 to 1024");
}

TEST_F(RefusalTest, AnswersAnUnknownPriorityWithInvalidArgument) {
  v1::MultiHeadAttentionRequest request = LayerRequest("small", 3, 16);
  request.set_priority(static_cast<v1::Priority>(4));
  ExpectInvalid(request, "priority");
}

TEST_F(RefusalTest, AnswersAShapeWhoseProductOverflowsWithInvalidArgument) {
  v1::MultiHeadAttentionRequest request = LayerRequest("small", 3, 16);
  for (int64_t& size : *request.mutable_query()->mutable_shape()) size = int64_t{1} << 40;
  ExpectInvalid(request, "query.shape");
  request.mutable_query()->clear_shape();
  request.mutable_query()->add_shape(int64_t{1} << 61);
  request.mutable_query()->add_shape(8);
  ExpectInvalid(request, "query.shape");
}

TEST_F(RefusalTest, AnswersRandomBytesWithInvalidArgument) {
  ExpectError(Send(std::string("\xff\xfe\xfd\x00\x01garbage", 12)), StatusCode::INVALID_ARGUMENT,
              "UNDECODABLE", "cannot be decoded");
}

TEST_F(RefusalTest, AnswersATruncatedMessageWithInvalidArgument) {
  std::string bytes = LayerRequest("small", 3, 16).SerializeAsString();
  bytes.resize(bytes.size() / 2);
  ExpectError(Send(bytes), StatusCode::INVALID_ARGUMENT, "UNDECODABLE", "cut short");
}

TEST_F(RefusalTest, AnswersUndecodableBytesOfEveryMethodWithInvalidArgument) {
  for (const char* path :
       {kMultiHeadPath, kScaledDotProductPath, "/attend.v1.LayerService/ListLayers",
        "/attend.v1.LayerService/GetLayer", "/attend.v1.ServerService/GetServerInfo"}) {
    ExpectError(MakeCall(server_->Channel(), path, "\x0a\xff"), StatusCode::INVALID_ARGUMENT,
                "UNDECODABLE", "decoded");
  }
}

TEST_F(RefusalTest, AnswersAnUnknownOptionWithUnimplementedThatNamesItsNumber) {
  // options (7) holds field 100 as a varint.
  const std::string bytes =
      LayerRequest("small", 3, 16).SerializeAsString() + std::string("\x3a\x03\xa0\x06\x01");
  ExpectError(Send(bytes), StatusCode::UNIMPLEMENTED, "UNKNOWN_OPTION", "field 100");
}

TEST_F(RefusalTest, AnswersACompressedRequestWithUnimplementedAndDoesNotInflateIt) {
  constexpr int64_t kMiB = 1 << 20;
  Call::Options options;
  options.compression = GRPC_COMPRESS_GZIP;
  const auto refusals = [&] {
    return Sum(server_->Metrics(), "attend_grpc_refusals_total", {"\"compression\""});
  };
  const double refused_before = refusals();
  const int64_t before = server_->PeakResidentBytes();
  const CallResult result =
      MakeCall(server_->Channel(), kMultiHeadPath, std::string(128 * kMiB, '\0'), options);
  EXPECT_EQ(result.status.error_code(), StatusCode::UNIMPLEMENTED) << result.status.error_message();
  EXPECT_EQ(refusals(), refused_before + 1);
  if (!kSanitized) {
    EXPECT_LT(server_->PeakResidentBytes(), before + 32 * kMiB);
  }
}

TEST(StatusTableTest, AnswersAMessageOverTheLimitWithResourceExhaustedWithoutPushback) {
  ServerProcess server({"--max-request-bytes=1MiB", kSmallLayer[0]});
  const CallResult result = MakeCall(server.Channel(), kMultiHeadPath,
                                     LayerRequest("small", 20'000, 16).SerializeAsString());
  ExpectError(result, StatusCode::RESOURCE_EXHAUSTED, "TOO_LARGE", "1048576");
  EXPECT_FALSE(result.has_trailer(kPushback));
}

TEST(StatusTableTest, AnswersARequestThatWouldComputeForTooLongWithInvalidArgument) {
  ServerProcess server({"--max-request-compute=1us", kSmallLayer[0]});
  const CallResult result = MakeCall(server.Channel(), kMultiHeadPath,
                                     LayerRequest("small", 300, 16).SerializeAsString());
  ExpectError(result, StatusCode::INVALID_ARGUMENT, "TOO_COSTLY", "1e-06 seconds on this server");
  EXPECT_FALSE(result.has_trailer(kPushback));
  EXPECT_EQ(Sum(server.Metrics(), "attend_rejected_total", {"reason=\"too_costly\""}), 1);
}

// Every answer, good or bad, says under which name the server knows the call.
TEST_F(RefusalTest, NamesEveryCallAsItsCallerDoesOrByANumberOfItsOwn) {
  const std::string good = LayerRequest("small", 3, 16).SerializeAsString();
  for (const std::string& request : {good, std::string("\xff")}) {
    const auto call = [&](const std::string& id) {
      Call::Options options;
      if (!id.empty()) options.metadata["x-request-id"] = id;
      const CallResult result = MakeCall(server_->Channel(), kMultiHeadPath, request, options);
      EXPECT_EQ(result.trailers.count("x-request-id"), 1u);
      return result.trailers.find("x-request-id")->second;
    };
    EXPECT_EQ(call("order 66/a"), "order 66/a");
    EXPECT_EQ(call(std::string(128, 'x')), std::string(128, 'x'));
    EXPECT_THAT(call(std::string(129, 'x')), testing::MatchesRegex("[0-9a-f]{16}"));
    const std::string first = call("");
    EXPECT_THAT(first, testing::MatchesRegex("[0-9a-f]{16}"));
    EXPECT_NE(call(""), first);
  }
}

// A request that is held keeps the server busy.
const std::vector<std::string> kOneAtATime = {"--workers=1", "--batching=off",
                                              "--max-queue-requests=2", "--max-queue-delay=1m"};

TEST(StatusTableTest, AnswersAFullQueueWithResourceExhaustedAndPushback) {
  HoldableServer server(kOneAtATime);
  HeldCall held(server);
  const auto channel = server.Channel();
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 10; ++i) {
    calls.push_back(std::make_unique<Call>(channel, kScaledDotProductPath, ShortRequest()));
  }
  EXPECT_TRUE(Eventually(
      [&] { return Sum(server.Metrics(), "attend_rejected_total", {"queue_full"}) == 8; }));
  EXPECT_TRUE(held.Release().status.ok());
  int answered = 0, refused = 0;
  for (const auto& call : calls) {
    const CallResult& result = call->Wait();
    if (result.status.ok()) {
      ++answered;
      continue;
    }
    ++refused;
    ExpectError(result, StatusCode::RESOURCE_EXHAUSTED, "QUEUE_FULL", "queue");
    EXPECT_TRUE(result.has_trailer(kPushback));
  }
  EXPECT_EQ(answered, 2);
  EXPECT_EQ(refused, 8);
}

// Sends a request whose answer of `rows` * 8,192 bytes the caller does not read, and waits until
// the server has given it to gRPC: its memory stays taken while `connection` lives.
void HoldMemory(const ServerProcess& server, int64_t rows, RawHttp2& connection) {
  const double before = Sum(server.Metrics(), "attend_requests_total", {"\"OK\""});
  connection.StartCall(kScaledDotProductPath, "");
  connection.SendMessage(LargeAnswerRequest(rows).SerializeAsString());
  EXPECT_TRUE(Eventually(
      [&] { return Sum(server.Metrics(), "attend_requests_total", {"\"OK\""}) == before + 1; }));
}

TEST(StatusTableTest, AnswersAFullMemoryBudgetWithResourceExhaustedAndPushback) {
  // Room for the unread answer of 12 MiB or for the request of 3 MiB with its answer of 1 MiB.
  ServerProcess server(
      {"--max-request-bytes=4MiB", "--max-in-flight-bytes=16MiB", "--max-caller-bytes=16MiB"});
  const std::string request = OperatorRequest(1024, 4, 64).SerializeAsString();
  {
    RawHttp2 connection(server.tcp());
    HoldMemory(server, 1536, connection);
    const CallResult result = MakeCall(server.Channel(), kScaledDotProductPath, request);
    ExpectError(result, StatusCode::RESOURCE_EXHAUSTED, "MEMORY", "memory budget");
    EXPECT_TRUE(result.has_trailer(kPushback));
    EXPECT_EQ(Sum(server.Metrics(), "attend_rejected_total", {"\"memory\""}), 1);
  }
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_in_flight_bytes") == 0; }));
  EXPECT_TRUE(MakeCall(server.Channel(), kScaledDotProductPath, request).status.ok());
}

TEST(StatusTableTest, AnswersACallerThatHoldsItsShareWithResourceExhaustedAndServesOthers) {
  ServerProcess server(
      {"--max-request-bytes=4MiB", "--max-in-flight-bytes=64MiB", "--max-caller-bytes=10MiB"});
  const std::string request = OperatorRequest(1024, 4, 64).SerializeAsString();
  RawHttp2 connection(server.tcp());
  HoldMemory(server, 1024, connection);  // 8 MiB
  const CallResult result = MakeCall(server.Channel(), kScaledDotProductPath, request);
  ExpectError(result, StatusCode::RESOURCE_EXHAUSTED, "CALLER_MEMORY", "share");
  EXPECT_TRUE(result.has_trailer(kPushback));
  EXPECT_EQ(Sum(server.Metrics(), "attend_rejected_total", {"\"caller_memory\""}), 1);
  const auto other = ServerProcess::Channel(server.unix_socket());
  EXPECT_TRUE(MakeCall(other, kScaledDotProductPath, request).status.ok());
}

TEST(StatusTableTest, RefusesAtOnceWhatCannotEndBeforeTheServersOwnDeadline) {
  ServerProcess server({"--workers=1", "--max-deadline=50ms"});
  // 384 KiB and a thousand million scores.
  const CallResult result = MakeCall(server.Channel(), kScaledDotProductPath,
                                     OperatorRequest(32768, 1, 1).SerializeAsString());
  ExpectError(result, StatusCode::DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT", "needs about");
  EXPECT_FALSE(result.has_trailer(kPushback));
  EXPECT_EQ(Sum(server.Metrics(), "attend_batch_requests_sum"), 0);
  EXPECT_EQ(Sum(server.Metrics(), "attend_in_flight_bytes"), 0);
}

TEST(StatusTableTest, DropsQueuedWorkOfACallerThatCancels) {
  HoldableServer server(kOneAtATime);
  HeldCall held(server);
  Call queued(server.Channel(), kScaledDotProductPath, ShortRequest());
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_queue_requests") == 1; }));
  queued.Cancel();
  EXPECT_EQ(queued.Wait().status.error_code(), StatusCode::CANCELLED);
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_queue_requests") == 0; }));
  EXPECT_TRUE(held.Release().status.ok());
  ASSERT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_requests_total") == 2; }));
  EXPECT_EQ(Sum(server.Metrics(), "attend_requests_total", {"CANCELLED"}), 1);
  EXPECT_EQ(Sum(server.Metrics(), "attend_batch_requests_sum"), 1);
}

TEST(StatusTableTest, AnswersUnavailableWhileDrainingAndFinishesWhatRuns) {
  HoldableServer server({"--workers=1", "--batching=off", "--drain-timeout=10m"});
  const auto channel = server.Channel();
  ASSERT_TRUE(MakeCall(channel, kScaledDotProductPath, ShortRequest()).status.ok());
  HeldCall held(server);
  server.process().Signal(SIGTERM);
  // Calls are accepted until the engine refuses; from then on none is. One that is accepted waits
  // behind the held one: it must give up soon.
  Call::Options options;
  options.timeout = std::chrono::milliseconds(20);
  CallResult result;
  ASSERT_TRUE(Eventually([&] {
    result = MakeCall(channel, kScaledDotProductPath, ShortRequest(), options);
    return result.status.error_code() == StatusCode::UNAVAILABLE;
  }));
  EXPECT_EQ(result.status.error_code(), StatusCode::UNAVAILABLE) << result.status.error_message();
  EXPECT_TRUE(held.Release().status.ok()) << held.Release().status.error_message();
  EXPECT_EQ(server.process().Wait(), 0);
}

}  // namespace
}  // namespace attend
