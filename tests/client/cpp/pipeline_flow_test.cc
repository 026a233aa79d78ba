// SPDX-License-Identifier: Apache-2.0

// More requests than a pipeline's window has room for, and many threads that start them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "tests/client/cpp/pipeline_tester.h"
#include "tests/client/cpp/raw_server.h"

namespace attend::client {
namespace {

constexpr ItemOptions kRefuse = {.when_full = WhenFull::kRefuse};

// A server that answers one request for each count of `allowed`, and then all.
class HeldServer {
 public:
  HeldServer() {
    server.service.set_pipeline_hook([this](FakeService::Stream& stream, grpc::ServerContext&) {
      v1::PipelineRequest request;
      while (stream.Read(&request)) {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return allowed_ > 0; });
        --allowed_;
        stream.Write(FakeService::Answer(request));
      }
      return grpc::Status::OK;
    });
  }
  ~HeldServer() { Allow(1 << 20); }

  void Allow(int count) {
    std::lock_guard<std::mutex> lock(mutex_);
    allowed_ += count;
    changed_.notify_all();
  }

  FakeServer server;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int allowed_ = 0;
};

TEST(PipelineFlowTest, AFullWindowRefusesOrWaitsAsAsked) {
  HeldServer held;
  const auto client = Connect(held.server);
  const auto pipeline = OpenPipeline(*client, {.max_requests = 2});
  std::vector<ResponseFuture> futures;
  for (int i = 0; i < 2; ++i) futures.push_back(pipeline->AsyncCall(RequestOf(1), kRefuse));
  const absl::Status refused = pipeline->AsyncCall(RequestOf(1), kRefuse).get().status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(GetErrorDetails(refused).reason, "PIPELINE_FULL");
  const ItemOptions soon = {.timeout = absl::Milliseconds(5)};
  EXPECT_TRUE(absl::IsDeadlineExceeded(pipeline->AsyncCall(RequestOf(1), soon).get().status()));

  std::thread waits([&] {
    ResponseFuture future = pipeline->AsyncCall(RequestOf(3));
    held.Allow(2);
    EXPECT_EQ(ValueOf(future), 3);
  });
  held.Allow(1);
  waits.join();
  for (ResponseFuture& future : futures) EXPECT_EQ(ValueOf(future), 1);
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
}

TEST(PipelineFlowTest, TheWindowCountsBytes) {
  HeldServer held;
  const auto client = Connect(held.server);
  const absl::StatusOr<PreparedRequest> request = PreparedRequest::Create(RequestOf(1));
  const auto pipeline = OpenPipeline(*client, {.max_bytes = 2 * request->size_bytes()});
  ResponseFuture first = pipeline->AsyncCall(*request, kRefuse);
  ResponseFuture second = pipeline->AsyncCall(*request, kRefuse);
  EXPECT_EQ(GetErrorDetails(pipeline->AsyncCall(*request, kRefuse).get().status()).reason,
            "PIPELINE_FULL");
  held.Allow(1);
  EXPECT_EQ(ValueOf(first), 1);
  held.Allow(1 << 10);
  EXPECT_EQ(ValueOf(second), 1);
}

TEST(PipelineFlowTest, ARequestThatWasCancelledKeepsItsPlaceUntilTheServerAnswers) {
  HeldServer held;
  const auto client = Connect(held.server);
  const auto pipeline = OpenPipeline(*client, {.max_requests = 1});
  std::promise<absl::Status> ended;
  const auto pending =
      pipeline->Start(RequestOf(1), {}, [&](auto response) { ended.set_value(response.status()); });
  ASSERT_TRUE(pending.ok());
  held.Allow(1);  // the server's answer may be under way, so what the request ends with is open
  ended.get_future().wait();
  ResponseFuture next = pipeline->AsyncCall(RequestOf(2));
  held.Allow(1);
  EXPECT_EQ(ValueOf(next), 2);
}

TEST(PipelineFlowTest, ACallbackStartsRequestsAndIsRefusedRatherThanBlocked) {
  HeldServer held;
  held.Allow(1 << 10);
  const auto client = Connect(held.server);
  const auto pipeline = OpenPipeline(*client, {.max_requests = 1});
  std::promise<absl::Status> next, full, finished;
  std::promise<void> next_answered;
  ASSERT_TRUE(
      pipeline
          ->Start(RequestOf(1), {},
                  [&](absl::StatusOr<AttentionResponse> /*response*/) {
                    // The request that has just ended has given up its place.
                    next.set_value(
                        pipeline->Start(RequestOf(2), {}, [&](auto) { next_answered.set_value(); })
                            .status());
                    full.set_value(pipeline->Start(RequestOf(3), {}, [](auto) {}).status());
                    finished.set_value(pipeline->Finish());
                  })
          .ok());
  EXPECT_EQ(next.get_future().get(), absl::OkStatus());
  EXPECT_EQ(GetErrorDetails(full.get_future().get()).reason, "PIPELINE_FULL");
  EXPECT_TRUE(absl::IsFailedPrecondition(finished.get_future().get()));
  next_answered.get_future().get();
}

TEST(PipelineFlowTest, ManyThreadsStartRequestsThroughASmallWindow) {
  FakeServer server;
  const auto client = Connect(server);
  const auto pipeline = OpenPipeline(*client, {.max_requests = 3});
  constexpr int kThreads = 8, kRequests = 40;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::vector<ResponseFuture> futures;
      for (int i = 0; i < kRequests; ++i) {
        futures.push_back(
            pipeline->AsyncCall(RequestOf(static_cast<float>(thread * kRequests + i))));
      }
      for (int i = 0; i < kRequests; ++i) {
        EXPECT_EQ(ValueOf(futures[static_cast<size_t>(i)]), thread * kRequests + i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
}

TEST(PipelineFlowTest, ThreadsThatStartAndCancelRaceTheEnd) {
  for (int round = 0; round < 20; ++round) {
    FakeServer server;
    const auto client = Connect(server);
    auto pipeline = OpenPipeline(*client, {.max_requests = 4});
    std::atomic<int> started = 0, ended = 0;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          const auto pending = pipeline->Start(RequestOf(1), {}, [&](auto) { ++ended; });
          if (!pending.ok()) continue;
          ++started;
          if (i % 3 == 0) pending->Cancel();
        }
      });
    }
    if (round % 2 == 0) static_cast<void>(pipeline->Finish());
    if (round % 4 == 1) server.Stop();
    for (std::thread& thread : threads) thread.join();
    pipeline.reset();
    EXPECT_EQ(ended, started);
  }
}

TEST(PipelineFlowTest, FinishRefusesThoseThatWaitForRoom) {
  HeldServer held;
  const auto client = Connect(held.server);
  const auto pipeline = OpenPipeline(*client, {.max_requests = 1});
  ResponseFuture first = pipeline->AsyncCall(RequestOf(1));
  std::vector<std::thread> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.emplace_back([&] {
      const absl::Status status = pipeline->AsyncCall(RequestOf(2)).get().status();
      EXPECT_EQ(GetErrorDetails(status).reason, "PIPELINE_FINISHED") << status;
    });
  }
  std::thread finishes([&] { EXPECT_EQ(pipeline->Finish(), absl::OkStatus()); });
  for (std::thread& thread : waiting) thread.join();
  held.Allow(1);
  EXPECT_EQ(ValueOf(first), 1);
  finishes.join();
}

// How many messages each DATA frame of a stream holds on which so many requests wait for its start.
std::vector<int> MessagesPerFrame(int requests) {
  std::vector<int> frames;
  int messages = 0;
  std::latch all(1);
  RawServer server([&](const Frame& frame) {
    if (frame.type() != Frame::kData) return std::string();
    frames.push_back(0);
    // Each message follows a byte and its length in four bytes.
    for (absl::string_view rest = frame.payload(); rest.size() >= 5; ++frames.back()) {
      rest.remove_prefix(5 + static_cast<uint8_t>(rest[4]));
    }
    messages += frames.back();
    if (messages == requests) all.count_down();
    return std::string();
  });
  const auto client = *Client::Create({.targets = {server.address()}});
  const auto pipeline = OpenPipeline(*client);
  std::vector<ResponseFuture> futures;
  for (int i = 0; i < requests; ++i) futures.push_back(pipeline->AsyncCall(RequestOf(1)));
  server.Start();
  all.wait();
  return frames;
}

TEST(PipelineFlowTest, ShortRequestsThatWaitLeaveTogetherAndALoneOneAtOnce) {
  EXPECT_THAT(MessagesPerFrame(1), testing::ElementsAre(1));
  EXPECT_THAT(MessagesPerFrame(2), testing::ElementsAre(2));
  EXPECT_THAT(MessagesPerFrame(20), testing::ElementsAre(16, 4));
}

}  // namespace
}  // namespace attend::client
