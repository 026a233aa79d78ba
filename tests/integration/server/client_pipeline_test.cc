// SPDX-License-Identifier: Apache-2.0

// Pipelines of the C++ client against a real server.

#include <atomic>
#include <csignal>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "attend/client.h"
#include "attend/pipeline.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

using client::AttentionResponse;
using client::Client;
using client::Pipeline;
using ResponseFuture = std::future<absl::StatusOr<AttentionResponse>>;

const std::vector<std::string> kLayer = {"--random-layer=r:embed_dim=32,num_heads=2"};
const std::vector<std::string> kOneAtATime = {"--workers=1", "--batching=off"};

std::unique_ptr<Client> Connect(const ServerProcess& server) {
  return *Client::Create({.targets = {server.tcp()}});
}

// Rows that differ from one number to the next.
std::vector<float> Rows(int64_t rows, int64_t width, int number) {
  std::vector<float> values(static_cast<size_t>(rows * width));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>((i * 37 + static_cast<size_t>(number) * 101) % 61) / 61 - 0.5f;
  }
  return values;
}

client::MultiHeadAttentionRequest Layer(int64_t rows, int number) {
  client::MultiHeadAttentionRequest request;
  request.layer = "r";
  request.query = client::TensorView::Owning(Rows(rows, 32, number), {1, rows, 32});
  return request;
}

client::ScaledDotProductAttentionRequest Operator(int number) {
  client::ScaledDotProductAttentionRequest request;
  request.query = request.key = request.value =
      client::TensorView::Owning(Rows(8, 8, number), {1, 8, 1, 8});
  return request;
}

double QueuedRequests(const ServerProcess& server) {
  return Sum(server.Metrics(), "attend_queue_requests");
}

TEST(ClientPipelineTest, ManyThreadsGetTheBitsOfUnaryCalls) {
  ServerProcess server(kLayer);
  const auto client = Connect(server);
  // A window smaller than the number of requests.
  const std::unique_ptr<Pipeline> pipeline = *client->OpenPipeline({.max_requests = 16});
  constexpr int kThreads = 4, kRequests = 25;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::vector<ResponseFuture> futures;
      for (int i = 0; i < kRequests; ++i) {
        futures.push_back(pipeline->AsyncCall(Layer(1 + i % 7, thread * kRequests + i)));
      }
      for (int i = 0; i < kRequests; ++i) {
        const auto response = futures[static_cast<size_t>(i)].get();
        const auto unary = client->Call(Layer(1 + i % 7, thread * kRequests + i));
        ASSERT_TRUE(response.ok() && unary.ok()) << response.status() << unary.status();
        EXPECT_EQ(response->output.ToFloats(), unary->output.ToFloats());
        EXPECT_EQ(response->layer_sha256, unary->layer_sha256);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
  EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), "attend_in_flight_bytes") == 0; }));
}

TEST(ClientPipelineTest, AnErrorIsThatOfTheUnaryCall) {
  ServerProcess server(kLayer);
  const auto client = Connect(server);
  const std::unique_ptr<Pipeline> pipeline = *client->OpenPipeline();
  client::MultiHeadAttentionRequest unknown = Layer(3, 1), unequal = Layer(3, 1);
  unknown.layer = "no such";
  unequal.query_lengths = {7};
  for (const auto& request : {unknown, unequal}) {
    const absl::Status status = pipeline->AsyncCall(request).get().status();
    const absl::Status unary = client->Call(request).status();
    EXPECT_FALSE(unary.ok());
    EXPECT_EQ(status.code(), unary.code());
    EXPECT_EQ(status.message(), unary.message());
    const client::ErrorDetails details = client::GetErrorDetails(status);
    EXPECT_EQ(details.reason, client::GetErrorDetails(unary).reason);
    EXPECT_EQ(details.field, client::GetErrorDetails(unary).field);
    EXPECT_EQ(details.domain, "attend");
  }
  EXPECT_TRUE(pipeline->AsyncCall(Layer(3, 2)).get().ok());
}

TEST(ClientPipelineTest, CancellingOneLeavesTheOthers) {
  HoldableServer server(kOneAtATime);
  HeldCall held(server);
  const auto client = Connect(server);
  const std::unique_ptr<Pipeline> pipeline = *client->OpenPipeline();
  std::promise<absl::Status> ended;
  const absl::StatusOr<client::PendingCall> pending =
      pipeline->Start(Operator(1), {}, [&](auto response) { ended.set_value(response.status()); });
  ASSERT_TRUE(pending.ok());
  ResponseFuture other = pipeline->AsyncCall(Operator(2));
  ASSERT_TRUE(Eventually([&] { return QueuedRequests(server) == 2; }));
  pending->Cancel();
  EXPECT_TRUE(absl::IsCancelled(ended.get_future().get()));
  EXPECT_TRUE(Eventually([&] { return QueuedRequests(server) == 1; }));
  held.Release();
  EXPECT_TRUE(other.get().ok());
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
}

TEST(ClientPipelineTest, DestroyingItCancelsWhatTheServerHas) {
  HoldableServer server(kOneAtATime);
  HeldCall held(server);
  const auto client = Connect(server);
  std::vector<ResponseFuture> futures;
  {
    const std::unique_ptr<Pipeline> pipeline = *client->OpenPipeline();
    for (int i = 0; i < 3; ++i) futures.push_back(pipeline->AsyncCall(Operator(i)));
    ASSERT_TRUE(Eventually([&] { return QueuedRequests(server) == 3; }));
  }
  for (ResponseFuture& future : futures) EXPECT_TRUE(absl::IsCancelled(future.get().status()));
  EXPECT_TRUE(Eventually([&] { return QueuedRequests(server) == 0; }));
}

TEST(ClientPipelineTest, AServerThatDrainsAnswersWhatItHas) {
  HoldableServer server({"--workers=1", "--batching=off", "--drain-timeout=10m"});
  HeldCall held(server);
  const auto client = Connect(server);
  const std::unique_ptr<Pipeline> pipeline = *client->OpenPipeline();
  ResponseFuture running = pipeline->AsyncCall(Operator(1));
  ASSERT_TRUE(Eventually([&] { return QueuedRequests(server) == 1; }));
  server.process().Signal(SIGTERM);
  EXPECT_TRUE(held.Release().status.ok());
  EXPECT_TRUE(running.get().ok());
  // Those before the end of the stream may still be served or refused.
  EXPECT_TRUE(Eventually([&] {
    const absl::Status status = pipeline->AsyncCall(Operator(2)).get().status();
    return absl::IsUnavailable(status) && absl::StartsWith(status.message(), "the stream ended");
  }));
  EXPECT_TRUE(absl::IsUnavailable(pipeline->Finish()));
  EXPECT_EQ(server.process().Wait(), 0);
}

TEST(ClientPipelineTest, AServerThatDiesEndsEverything) {
  HoldableServer server(kOneAtATime);
  server.Hold();
  const auto client = Connect(server);
  const std::unique_ptr<Pipeline> pipeline = *client->OpenPipeline();
  std::vector<ResponseFuture> futures;
  for (int i = 0; i < 5; ++i) futures.push_back(pipeline->AsyncCall(Operator(i)));
  ASSERT_TRUE(Eventually([&] { return QueuedRequests(server) >= 3; }));
  server.process().Signal(SIGKILL);
  for (ResponseFuture& future : futures) {
    EXPECT_TRUE(absl::IsUnavailable(future.get().status()));
  }
  EXPECT_TRUE(absl::IsUnavailable(pipeline->Finish()));
}

// The server reads no more than it holds, and the client's queue ends at its window.
TEST(ClientPipelineTest, MoreRequestsThanTheServerTakesAreHeldBackAndThenAnswered) {
  std::vector<std::string> flags = kOneAtATime;
  flags.insert(flags.end(),
               {"--max-concurrent-streams=3", "--max-queue-requests=3", "--max-queue-delay=1m"});
  HoldableServer server(flags);
  HeldCall held(server);
  const auto client = Connect(server);
  const std::unique_ptr<Pipeline> pipeline = *client->OpenPipeline({.max_requests = 10});
  std::vector<ResponseFuture> futures;
  for (int i = 0; i < 10; ++i) futures.push_back(pipeline->AsyncCall(Operator(i)));
  const client::ItemOptions refuse = {.when_full = client::WhenFull::kRefuse};
  EXPECT_EQ(
      client::GetErrorDetails(pipeline->AsyncCall(Operator(10), refuse).get().status()).reason,
      "PIPELINE_FULL");
  ASSERT_TRUE(Eventually([&] { return QueuedRequests(server) == 3; }));
  held.Release();
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
  for (ResponseFuture& future : futures) EXPECT_TRUE(future.get().ok());
}

TEST(ClientPipelineTest, ASlowCallbackDelaysAnswersAndLosesNone) {
  ServerProcess server;
  const auto client = Connect(server);
  const std::unique_ptr<Pipeline> pipeline = *client->OpenPipeline({.max_requests = 8});
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::atomic<int> answered = 0;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(pipeline
                    ->Start(Operator(i), {},
                            [&](auto response) {
                              released.wait();
                              answered += response.ok() ? 1 : 0;
                            })
                    .ok());
  }
  EXPECT_TRUE(Eventually(
      [&] { return Sum(server.Metrics(), "attend_requests_total", {"code=\"OK\""}) >= 1; }));
  EXPECT_EQ(answered, 0);
  release.set_value();
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
  EXPECT_EQ(answered, 8);
}

}  // namespace
}  // namespace attend
