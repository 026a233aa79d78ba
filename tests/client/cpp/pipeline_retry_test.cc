// SPDX-License-Identifier: Apache-2.0

// Requests of a pipeline that the server refuses for load, and what its client makes of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <vector>

#include "tests/client/cpp/fake_pacer.h"
#include "tests/client/cpp/pipeline_tester.h"

namespace attend::client {
namespace {

using absl::Milliseconds;
using testing::ElementsAre;
using testing::Gt;
using testing::Le;

// Refuses the first `refusals` requests of all streams and answers the others.
FakeService::PipelineHook RefuseFirst(int refusals, grpc::StatusCode code, int pushback_ms,
                                      std::atomic<int>* received) {
  return [=](FakeService::Stream& stream, grpc::ServerContext&) {
    v1::PipelineRequest request;
    while (stream.Read(&request)) {
      const bool refuse = ++*received <= refusals;
      stream.Write(refuse ? Refusal(request.id(), code, "QUEUE_FULL", pushback_ms)
                          : FakeService::Answer(request));
    }
    return grpc::Status::OK;
  };
}

TEST(PipelineRetryTest, ARefusalWithPushbackIsSentAgainOnTheSameStreamAfterIt) {
  FakeServer server;
  std::atomic<int> received = 0;
  server.service.set_pipeline_hook(
      RefuseFirst(1, grpc::StatusCode::RESOURCE_EXHAUSTED, 1000, &received));
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  const auto pipeline = OpenPipeline(*client);
  const absl::StatusOr<AttentionResponse> response = pipeline->AsyncCall(RequestOf(1)).get();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->attempts, 2);
  EXPECT_EQ(received, 2);
  EXPECT_THAT(pacer.waits(), ElementsAre(Milliseconds(1100)));
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
}

TEST(PipelineRetryTest, FinishWaitsForRequestsThatAreSentAgain) {
  FakeServer server;
  std::atomic<int> received = 0;
  server.service.set_pipeline_hook(
      RefuseFirst(2, grpc::StatusCode::RESOURCE_EXHAUSTED, 20, &received));
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  ResponseFuture future = pipeline->AsyncCall(RequestOf(1));
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
  EXPECT_EQ(ValueOf(future), 1);
  EXPECT_EQ(received, 3);
}

TEST(PipelineRetryTest, WithoutPushbackOrTimeThereIsNoRetry) {
  FakeServer server;
  std::atomic<int> received = 0;
  server.service.set_pipeline_hook(
      RefuseFirst(1, grpc::StatusCode::RESOURCE_EXHAUSTED, -1, &received));
  const auto client = Connect(server);
  absl::Status status = OpenPipeline(*client)->AsyncCall(RequestOf(1)).get().status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_FALSE(GetErrorDetails(status).pushback.has_value());

  received = 0;
  server.service.set_pipeline_hook(
      RefuseFirst(1, grpc::StatusCode::RESOURCE_EXHAUSTED, 3'600'000, &received));
  status = OpenPipeline(*client)->AsyncCall(RequestOf(1)).get().status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(GetErrorDetails(status).pushback, absl::Hours(1));
  EXPECT_EQ(GetErrorDetails(status).attempts, 1);
  EXPECT_EQ(received, 1);
}

TEST(PipelineRetryTest, ARequestIsNotSentAgainToAServerThatDrains) {
  FakeServer server;
  std::atomic<int> received = 0;
  server.service.set_pipeline_hook(RefuseFirst(1, grpc::StatusCode::UNAVAILABLE, -1, &received));
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  EXPECT_TRUE(absl::IsUnavailable(pipeline->AsyncCall(RequestOf(1)).get().status()));
  EXPECT_EQ(received, 1);
}

TEST(PipelineRetryTest, CallsAndPipelinesShareOneRetryBudget) {
  FakeServer server;
  server.service.set_hook([](int, grpc::ServerContext&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
  });
  std::atomic<int> received = 0;
  server.service.set_pipeline_hook(
      RefuseFirst(1, grpc::StatusCode::RESOURCE_EXHAUSTED, 1, &received));
  FakePacer pacer;
  const auto client =
      CreateClient({.targets = {server.address()}, .retry = {.max_tokens = 10}}, pacer);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(client->Call(RequestOf(1)).ok());  // it is used up
  const absl::Status status = OpenPipeline(*client)->AsyncCall(RequestOf(1)).get().status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(received, 1);
}

TEST(PipelineRetryTest, RequestsAreHeldBackWhileTheServerRefusesMost) {
  FakeServer server;
  std::atomic<int> received = 0;
  server.service.set_pipeline_hook(
      RefuseFirst(1 << 20, grpc::StatusCode::RESOURCE_EXHAUSTED, 1, &received));
  FakePacer pacer;
  ClientOptions options = {.targets = {server.address()}};
  options.retry.max_attempts = 1;
  const auto client = CreateClient(options, pacer);
  const auto pipeline = OpenPipeline(*client);
  std::multiset<std::string> reasons;
  for (int i = 0; i < 100; ++i) {
    const absl::Status status = pipeline->AsyncCall(RequestOf(1)).get().status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    reasons.insert(GetErrorDetails(status).reason);
  }
  EXPECT_THAT(reasons.count("CLIENT_THROTTLED"), Gt(50u));
  EXPECT_THAT(received, Le(50));
  // The calls of the client are held back, too.
  EXPECT_EQ(GetErrorDetails(client->Call(RequestOf(1)).status()).reason, "CLIENT_THROTTLED");
}

TEST(PipelineRetryTest, ALostStreamCostsTheBudgetOnce) {
  FakeServer server;
  server.service.set_pipeline_hook([](FakeService::Stream& stream, grpc::ServerContext&) {
    v1::PipelineRequest request;
    for (int i = 0; i < 50; ++i) stream.Read(&request);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
  });
  server.service.set_hook([](int call, grpc::ServerContext&) {
    return call > 1 ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
  });
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  const auto pipeline = OpenPipeline(*client);
  std::vector<ResponseFuture> futures;
  for (int i = 0; i < 50; ++i) futures.push_back(pipeline->AsyncCall(RequestOf(1)));
  for (ResponseFuture& future : futures) EXPECT_TRUE(absl::IsUnavailable(future.get().status()));
  EXPECT_EQ(client->Call(RequestOf(1))->attempts, 2);  // there are retries left
}

}  // namespace
}  // namespace attend::client
