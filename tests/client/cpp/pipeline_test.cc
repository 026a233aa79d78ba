// SPDX-License-Identifier: Apache-2.0

// What a pipeline does for each of its requests, and how its stream ends.
#include "attend/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/cpp/pipeline_tester.h"

namespace attend::client {
namespace {

using testing::ElementsAre;

// Reads so many requests; fewer if the stream ends.
std::vector<v1::PipelineRequest> ReadRequests(FakeService::Stream& stream, size_t count) {
  std::vector<v1::PipelineRequest> requests(count);
  for (size_t i = 0; i < count; ++i) {
    if (!stream.Read(&requests[i])) requests.resize(i);
  }
  return requests;
}

// Holds a stream, reading what comes, until the client has gone.
grpc::Status UntilTheClientGoes(FakeService::Stream& stream) {
  v1::PipelineRequest request;
  while (stream.Read(&request)) {
  }
  return grpc::Status::OK;
}

TEST(PipelineTest, EachFutureGetsItsOwnAnswerInWhateverOrderTheyCome) {
  FakeServer server;
  server.service.set_pipeline_hook([](FakeService::Stream& stream, grpc::ServerContext&) {
    std::vector<v1::PipelineRequest> requests = ReadRequests(stream, 3);
    std::reverse(requests.begin(), requests.end());
    for (const v1::PipelineRequest& request : requests) stream.Write(FakeService::Answer(request));
    return UntilTheClientGoes(stream);
  });
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  std::vector<ResponseFuture> futures;
  for (float value : {1.0f, 2.0f, 3.0f}) futures.push_back(pipeline->AsyncCall(RequestOf(value)));
  for (float value : {1.0f, 2.0f, 3.0f}) {
    EXPECT_EQ(ValueOf(futures[static_cast<size_t>(value) - 1]), value);
  }
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
}

TEST(PipelineTest, TakesRequestsOfEveryKindAndWritesIntoTheCallersBuffer) {
  FakeServer server;
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client, {.request_id = "mine"});
  ScaledDotProductAttentionRequest bare;
  bare.query = bare.key = bare.value = TensorView::Owning(std::vector<float>{4, 5}, {1, 1, 1, 2});
  const absl::StatusOr<PreparedRequest> prepared = PreparedRequest::Create(RequestOf(6));
  std::vector<float> output(2);
  ResponseFuture of_bare = pipeline->AsyncCall(bare, {.buffers = {.output = output}});
  ResponseFuture of_prepared = pipeline->AsyncCall(*prepared);
  ResponseFuture of_wrong_buffer = pipeline->AsyncCall(*prepared, {.buffers = {.output = output}});
  const absl::StatusOr<AttentionResponse> response = of_bare.get();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->output.data(), output.data());
  EXPECT_THAT(output, ElementsAre(4, 5));
  EXPECT_EQ(response->attempts, 1);
  EXPECT_EQ(response->request_id, "mine");
  EXPECT_EQ(ValueOf(of_prepared), 6);
  EXPECT_EQ(GetErrorDetails(of_wrong_buffer.get().status()).reason, "BUFFER_MISMATCH");
}

TEST(PipelineTest, AFailedRequestHasTheErrorOfAUnaryCallAndLeavesTheOthers) {
  FakeServer server;
  server.service.set_pipeline_hook([](FakeService::Stream& stream, grpc::ServerContext&) {
    const auto requests = ReadRequests(stream, 2);
    stream.Write(Refusal(requests[0].id(), grpc::INVALID_ARGUMENT, "SHAPE_MISMATCH"));
    stream.Write(FakeService::Answer(requests[1]));
    return UntilTheClientGoes(stream);
  });
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client, {.request_id = "mine"});
  ResponseFuture wrong = pipeline->AsyncCall(RequestOf(1));
  ResponseFuture right = pipeline->AsyncCall(RequestOf(2));
  const absl::Status status = wrong.get().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "not now");
  const ErrorDetails details = GetErrorDetails(status);
  EXPECT_EQ(details.reason, "SHAPE_MISMATCH");
  EXPECT_EQ(details.domain, "attend");
  EXPECT_EQ(details.field, "query");
  EXPECT_EQ(details.attempts, 1);
  EXPECT_EQ(details.request_id, "mine");
  EXPECT_EQ(ValueOf(right), 2);
}

TEST(PipelineTest, WhatIsWrongOnThisSideIsNeverSent) {
  FakeServer server;
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  MultiHeadAttentionRequest request = RequestOf(1);
  request.query = {};
  EXPECT_EQ(GetErrorDetails(pipeline->AsyncCall(request).get().status()).field, "query");
  EXPECT_EQ(GetErrorDetails(pipeline->AsyncCall(PreparedRequest()).get().status()).reason,
            "NOT_PREPARED");
  const ItemOptions endless = {.timeout = absl::InfiniteDuration()};
  EXPECT_EQ(GetErrorDetails(pipeline->AsyncCall(RequestOf(1), endless).get().status()).field,
            "timeout");
  for (const auto& [field, options] : std::vector<std::pair<std::string, PipelineOptions>>{
           {"max_requests", {.max_requests = 0}},
           {"max_bytes", {.max_bytes = 0}},
           {"metadata", {.metadata = {{"UPPER", "x"}}}},
           {"request_id", {.request_id = "\n"}}}) {
    const absl::Status status = client->OpenPipeline(options).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << field;
    EXPECT_EQ(GetErrorDetails(status).field, field);
  }
}

TEST(PipelineTest, TheStreamCarriesMetadataAndEachRequestItsTimeout) {
  FakeServer server;
  std::promise<std::string> tenant, request_id;
  std::promise<absl::Duration> timeout;
  server.service.set_pipeline_hook([&](FakeService::Stream& stream, grpc::ServerContext& context) {
    const auto& metadata = context.client_metadata();
    tenant.set_value({metadata.find("tenant")->second.data(), 2});
    request_id.set_value({metadata.find("x-request-id")->second.data(), 4});
    const v1::PipelineRequest request = ReadRequests(stream, 1).front();
    timeout.set_value(absl::Seconds(request.timeout().seconds()) +
                      absl::Nanoseconds(request.timeout().nanos()));
    stream.Write(FakeService::Answer(request));
    return UntilTheClientGoes(stream);
  });
  const auto client = Connect(server);
  const auto pipeline =
      OpenPipeline(*client, {.metadata = {{"tenant", "t7"}}, .request_id = "mine"});
  ResponseFuture future = pipeline->AsyncCall(RequestOf(1), {.timeout = absl::Minutes(10)});
  EXPECT_EQ(tenant.get_future().get(), "t7");
  EXPECT_EQ(request_id.get_future().get(), "mine");
  const absl::Duration left = timeout.get_future().get();
  EXPECT_LT(left, absl::Minutes(10));  // what has passed here is no longer there
  EXPECT_GT(left, absl::Minutes(5));
  EXPECT_EQ(ValueOf(future), 1);
}

TEST(PipelineTest, CancellingOneRequestTellsTheServerAndLeavesTheOthers) {
  FakeServer server;
  std::promise<uint64_t> first, cancelled;
  server.service.set_pipeline_hook([&](FakeService::Stream& stream, grpc::ServerContext&) {
    const auto requests = ReadRequests(stream, 2);
    first.set_value(requests[0].id());
    const v1::PipelineRequest cancel = ReadRequests(stream, 1).front();
    EXPECT_TRUE(cancel.has_cancel());
    cancelled.set_value(cancel.id());
    // The answer to a cancelled request is expected, too.
    stream.Write(Refusal(requests[0].id(), grpc::CANCELLED, "CANCELLED"));
    stream.Write(FakeService::Answer(requests[1]));
    return UntilTheClientGoes(stream);
  });
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  std::promise<absl::Status> ended;
  std::promise<std::thread::id> callback_thread;
  const absl::StatusOr<PendingCall> pending =
      pipeline->Start(RequestOf(1), {}, [&](absl::StatusOr<AttentionResponse> response) {
        callback_thread.set_value(std::this_thread::get_id());
        ended.set_value(response.status());
      });
  ASSERT_TRUE(pending.ok()) << pending.status();
  ResponseFuture other = pipeline->AsyncCall(RequestOf(2));
  const uint64_t id = first.get_future().get();
  pending->Cancel();
  pending->Cancel();
  const absl::Status status = ended.get_future().get();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_NE(callback_thread.get_future().get(), std::this_thread::get_id());
  EXPECT_EQ(cancelled.get_future().get(), id);
  EXPECT_EQ(ValueOf(other), 2);
  pending->Cancel();  // nothing is left to cancel
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
  pending->Cancel();
}

TEST(PipelineTest, ARequestEndsAtItsDeadlineThoughTheServerSaysNothing) {
  FakeServer server;
  server.service.set_pipeline_hook([](FakeService::Stream& stream, grpc::ServerContext&) {
    const auto requests = ReadRequests(stream, 2);
    v1::PipelineRequest more;
    while (stream.Read(&more)) {
    }
    // After the half-close: what expired is answered late, and nobody minds.
    for (const auto& request : requests) stream.Write(FakeService::Answer(request));
    return grpc::Status::OK;
  });
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  ResponseFuture first = pipeline->AsyncCall(RequestOf(1), {.timeout = absl::Milliseconds(50)});
  ResponseFuture second = pipeline->AsyncCall(RequestOf(2), {.timeout = absl::Milliseconds(20)});
  EXPECT_TRUE(absl::IsDeadlineExceeded(first.get().status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(second.get().status()));
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
}

TEST(PipelineTest, FinishWaitsForEveryAnswerAndTakesNoMoreRequests) {
  FakeServer server;
  std::promise<void> release;
  server.service.set_pipeline_hook([&](FakeService::Stream& stream, grpc::ServerContext&) {
    const auto requests = ReadRequests(stream, 3);
    release.get_future().wait();
    for (const auto& request : requests) stream.Write(FakeService::Answer(request));
    return UntilTheClientGoes(stream);  // the half-close
  });
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  std::atomic<int> answered = 0;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(
        pipeline->Start(RequestOf(1), {}, [&](auto response) { answered += response.ok() ? 1 : 0; })
            .ok());
  }
  std::thread releases([&] { release.set_value(); });
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
  EXPECT_EQ(answered, 3);
  releases.join();
  const absl::Status status = pipeline->AsyncCall(RequestOf(1)).get().status();
  EXPECT_EQ(GetErrorDetails(status).reason, "PIPELINE_FINISHED");
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
}

TEST(PipelineTest, FinishOfAnUnusedPipelineIsOk) {
  FakeServer server;
  const auto client = Connect(server);
  EXPECT_EQ(OpenPipeline(*client)->Finish(), absl::OkStatus());
}

TEST(PipelineTest, FinishCancelsWhatIsLeftAtItsTimeout) {
  FakeServer server;
  server.service.set_pipeline_hook([](FakeService::Stream& stream, grpc::ServerContext& context) {
    UntilTheClientGoes(stream);  // after the half-close, too
    while (!context.IsCancelled()) std::this_thread::yield();
    return grpc::Status::OK;
  });
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  ResponseFuture future = pipeline->AsyncCall(RequestOf(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(pipeline->Finish(absl::Milliseconds(20))));
  EXPECT_TRUE(absl::IsDeadlineExceeded(future.get().status()));
  const auto unused = OpenPipeline(*client);
  EXPECT_TRUE(absl::IsDeadlineExceeded(unused->Finish(absl::Milliseconds(20))));
}

TEST(PipelineTest, DestroyingItCancelsEverythingAndWaitsForTheCallbacks) {
  FakeServer server;
  std::latch arrived(1);
  std::promise<bool> cancelled;
  server.service.set_pipeline_hook([&](FakeService::Stream& stream, grpc::ServerContext& context) {
    ReadRequests(stream, 1);
    arrived.count_down();
    UntilTheClientGoes(stream);
    cancelled.set_value(context.IsCancelled());
    return grpc::Status::OK;
  });
  const auto client = Connect(server);
  auto pipeline = OpenPipeline(*client);
  int ended = 0;
  PendingCall last;
  for (int i = 0; i < 5; ++i) {
    last = *pipeline->Start(RequestOf(1), {}, [&](absl::StatusOr<AttentionResponse> response) {
      EXPECT_TRUE(absl::IsCancelled(response.status())) << response.status();
      ++ended;
    });
  }
  arrived.wait();
  pipeline.reset();
  EXPECT_EQ(ended, 5);
  EXPECT_TRUE(cancelled.get_future().get());
  last.Cancel();  // of a pipeline that is no more
}

TEST(PipelineTest, OutlivesItsClient) {
  FakeServer server;
  auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  client.reset();
  ResponseFuture future = pipeline->AsyncCall(RequestOf(1));
  EXPECT_EQ(ValueOf(future), 1);
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
}

TEST(PipelineTest, AStreamThatEndsEarlyEndsWhatIsNotAnsweredWithItsStatus) {
  FakeServer server;
  server.service.set_pipeline_hook([](FakeService::Stream& stream, grpc::ServerContext& context) {
    const auto requests = ReadRequests(stream, 3);
    stream.Write(FakeService::Answer(requests[1]));
    context.AddTrailingMetadata("x-request-id", "r1");
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
  });
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  ResponseFuture first = pipeline->AsyncCall(RequestOf(1));
  ResponseFuture second = pipeline->AsyncCall(RequestOf(2));
  ResponseFuture third = pipeline->AsyncCall(RequestOf(3));
  EXPECT_EQ(ValueOf(second), 2);
  for (ResponseFuture* future : {&first, &third}) {
    const absl::Status status = future->get().status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_EQ(status.message(), "the stream ended: draining");
    EXPECT_EQ(GetErrorDetails(status).request_id, "r1");
    EXPECT_EQ(GetErrorDetails(status).attempts, 1);
  }
  EXPECT_EQ(pipeline->Finish().message(), "the stream ended: draining");
  EXPECT_TRUE(absl::IsUnavailable(pipeline->AsyncCall(RequestOf(4)).get().status()));
}

TEST(PipelineTest, AStreamThatTheServerEndsWithOkTooEarlyIsUnavailable) {
  FakeServer server;
  server.service.set_pipeline_hook([](FakeService::Stream& stream, grpc::ServerContext&) {
    ReadRequests(stream, 1);
    return grpc::Status::OK;
  });
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  EXPECT_TRUE(absl::IsUnavailable(pipeline->AsyncCall(RequestOf(1)).get().status()));
  EXPECT_TRUE(absl::IsUnavailable(pipeline->Finish()));
}

TEST(PipelineTest, ALostConnectionEndsEverything) {
  FakeServer server;
  std::latch arrived(1);
  server.service.set_pipeline_hook([&](FakeService::Stream& stream, grpc::ServerContext&) {
    ReadRequests(stream, 1);
    arrived.count_down();
    return UntilTheClientGoes(stream);
  });
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client);
  ResponseFuture future = pipeline->AsyncCall(RequestOf(1));
  arrived.wait();
  server.Stop();
  EXPECT_FALSE(future.get().ok());
  EXPECT_FALSE(pipeline->Finish().ok());
  // A server that is not there, for a new pipeline as well.
  const auto next = OpenPipeline(*client);
  EXPECT_TRUE(absl::IsUnavailable(next->AsyncCall(RequestOf(1)).get().status()));
  EXPECT_TRUE(absl::IsUnavailable(next->Finish()));
}

}  // namespace
}  // namespace attend::client
