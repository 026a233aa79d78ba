// SPDX-License-Identifier: Apache-2.0
#include "attend/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <future>
#include <latch>
#include <mutex>
#include <set>

#include "absl/strings/str_cat.h"
#include "attend/mock_client.h"
#include "tests/client/cpp/fake_pacer.h"
#include "tests/client/cpp/pipeline_tester.h"
#include "tests/client/fake_service.h"

namespace attend::client {
namespace {

using absl::Milliseconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Pair;

std::unique_ptr<Client> Connect(ClientOptions options) {
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options);
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

const std::vector<float>& Rows() {
  static const auto* const rows = new std::vector<float>{1, 2, 3, 4, 5, 6};
  return *rows;
}

MultiHeadAttentionRequest SmallRequest() {
  MultiHeadAttentionRequest request;
  request.layer = "l0";
  request.query = {Rows(), {1, 3, 2}};
  return request;
}

// A hook that fails the first `failures` calls.
FakeService::Hook FailFirst(int failures, grpc::StatusCode code, const std::string& pushback = "") {
  return [=](int call, grpc::ServerContext& context) {
    if (call > failures) return grpc::Status::OK;
    if (!pushback.empty()) context.AddTrailingMetadata("grpc-retry-pushback-ms", pushback);
    context.AddTrailingMetadata("x-request-id", absl::StrCat("r", call));
    return grpc::Status(code, "not now");
  };
}

// Holds calls on the server until the client has gone.
grpc::Status UntilCancelled(grpc::ServerContext& context) {
  while (!context.IsCancelled()) std::this_thread::yield();
  return {grpc::StatusCode::CANCELLED, "the caller went away"};
}

TEST(ClientTest, CallReturnsWhatTheServerAnswers) {
  FakeServer server;
  const auto client = Connect(server);
  MultiHeadAttentionRequest request = SmallRequest();
  const std::vector<float> bias = {7};
  request.options.weights = Weights::kMean;
  request.options.bias = {bias, {1, 1, 1}};
  const absl::StatusOr<AttentionResponse> result = client->Call(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output.ToFloats(), Rows());
  EXPECT_EQ(result->output.shape(), Shape({1, 3, 2}));
  ASSERT_TRUE(result->weights.has_value());
  EXPECT_EQ(result->weights->ToFloats(), bias);
  EXPECT_EQ(result->layer_sha256, "abc");
  EXPECT_EQ(result->timing.compute, absl::Microseconds(2));
  EXPECT_EQ(result->timing.batch_requests, 3);
  EXPECT_EQ(result->attempts, 1);
}

TEST(ClientTest, TheResponseGoesIntoTheCallersBuffer) {
  FakeServer server;
  const auto client = Connect(server);
  std::vector<float> output(Rows().size());
  CallOptions options;
  options.buffers.output = output;
  const absl::StatusOr<AttentionResponse> result = client->Call(SmallRequest(), options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(output, Rows());
  EXPECT_EQ(result->output.data(), output.data());

  std::fill(output.begin(), output.end(), 0.0f);
  std::promise<absl::Status> ended;
  ASSERT_TRUE(
      client->Start(SmallRequest(), options, [&](auto answer) { ended.set_value(answer.status()); })
          .ok());
  EXPECT_EQ(ended.get_future().get(), absl::OkStatus());
  EXPECT_EQ(output, Rows());
}

TEST(ClientTest, TheBareOperator) {
  FakeServer server;
  const auto client = Connect(server);
  ScaledDotProductAttentionRequest request;
  request.query = request.key = request.value = {Rows(), {1, 3, 1, 2}};
  const absl::StatusOr<AttentionResponse> result = client->Call(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output.ToFloats(), Rows());
  EXPECT_FALSE(result->weights.has_value());
  EXPECT_EQ(result->layer_sha256, "");
}

TEST(ClientTest, AResultGoesIntoTheNextCallUncopied) {
  FakeServer server;
  const auto client = Connect(server);
  absl::StatusOr<AttentionResponse> result = client->Call(SmallRequest());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(result.ok()) << result.status();
    MultiHeadAttentionRequest next = SmallRequest();
    next.query = result->output.view();
    EXPECT_EQ(next.query.data(), result->output.data());
    result = client->Call(next);
  }
  EXPECT_EQ(result->output.ToFloats(), Rows());
}

TEST(ClientTest, LayersInfoAndHealth) {
  FakeServer server;
  const auto client = Connect(server);
  const auto layers = client->ListLayers();
  ASSERT_TRUE(layers.ok()) << layers.status();
  ASSERT_EQ(layers->size(), 5u);  // three pages
  EXPECT_EQ(layers->front().name(), "l0");
  EXPECT_EQ(layers->back().name(), "l4");
  EXPECT_EQ(client->GetLayer("l0")->embed_dim(), 4);
  EXPECT_TRUE(absl::IsNotFound(client->GetLayer("none").status()));
  EXPECT_EQ(client->GetServerInfo()->version(), "9.8.7");
  EXPECT_EQ(*client->CheckHealth(), HealthStatus::kServing);
  EXPECT_EQ(*client->CheckHealth("no.such.Service"), HealthStatus::kServiceUnknown);
  server.server().GetHealthCheckService()->SetServingStatus("", false);
  EXPECT_EQ(*client->CheckHealth(), HealthStatus::kNotServing);
}

TEST(ClientTest, UnavailableIsRetriedWithGrowingWaits) {
  FakeServer server;
  server.service.set_hook(FailFirst(3, grpc::StatusCode::UNAVAILABLE));
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  const absl::StatusOr<AttentionResponse> result = client->Call(SmallRequest());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->attempts, 4);
  EXPECT_EQ(server.service.calls(), 4);
  EXPECT_THAT(pacer.waits(), ElementsAre(Milliseconds(50), Milliseconds(100), Milliseconds(200)));
}

TEST(ClientTest, ResourceExhaustedWithPushbackIsRetriedAfterIt) {
  FakeServer server;
  server.service.set_hook(FailFirst(1, grpc::StatusCode::RESOURCE_EXHAUSTED, "1000"));
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  const absl::StatusOr<AttentionResponse> result = client->Call(SmallRequest());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(server.service.calls(), 2);
  EXPECT_THAT(pacer.waits(), ElementsAre(Milliseconds(1100)));
}

TEST(ClientTest, ResourceExhaustedWithoutPushbackIsNeverRetried) {
  FakeServer server;
  server.service.set_hook(FailFirst(1, grpc::StatusCode::RESOURCE_EXHAUSTED));
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  const absl::Status status = client->Call(SmallRequest()).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(server.service.calls(), 1);
  EXPECT_THAT(pacer.waits(), ElementsAre());
  EXPECT_FALSE(GetErrorDetails(status).pushback.has_value());
}

TEST(ClientTest, AStreamResetForLoadIsRetriedThoughItCarriesNoPushback) {
  FakeServer server;
  server.service.set_hook([](int call, grpc::ServerContext&) {
    if (call > 1) return grpc::Status::OK;
    // As the client's gRPC reports it.
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "Received RST_STREAM with error code 11");
  });
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  EXPECT_EQ(client->Call(SmallRequest()).status(), absl::OkStatus());
  EXPECT_THAT(pacer.waits(), ElementsAre(Milliseconds(50)));
}

TEST(ClientTest, AllCallsOfAClientShareOneRetryBudget) {
  FakeServer server;
  server.service.set_hook(FailFirst(1 << 20, grpc::StatusCode::UNAVAILABLE));
  FakePacer pacer;
  const auto client =
      CreateClient({.targets = {server.address()}, .retry = {.max_tokens = 10}}, pacer);
  constexpr int kRequests = 100;
  for (int i = 0; i < kRequests; ++i) {
    EXPECT_TRUE(absl::IsUnavailable(client->Call(SmallRequest()).status()));
  }
  EXPECT_LE(server.service.calls(), kRequests * 1.1);
  EXPECT_EQ(client->CheckHealth().status(), absl::OkStatus());
}

// As a server of ours refuses a call after its drain has begun.
grpc::Status RefuseToDrain() {
  const v1::PipelineResponse refusal = Refusal(0, grpc::StatusCode::UNAVAILABLE, "DRAINING");
  return {grpc::StatusCode::UNAVAILABLE, "not now", refusal.status().SerializeAsString()};
}

// The README and RetryPolicy state the bound for the default policy.
TEST(ClientTest, AClientWhoseCallsAllFailMakesAtMostFiftyCallsMoreThanRequests) {
  const auto unavailable = [](int, grpc::ServerContext&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
  };
  const auto draining = [](int, grpc::ServerContext&) { return RefuseToDrain(); };
  const auto either = [&](int call, grpc::ServerContext& context) {
    return call % 3 == 0 ? unavailable(call, context) : draining(call, context);
  };
  for (const FakeService::Hook& hook :
       {FakeService::Hook(unavailable), FakeService::Hook(draining), FakeService::Hook(either)}) {
    FakeServer server;
    server.service.set_hook(hook);
    FakePacer pacer;
    const auto client = CreateClient({.targets = {server.address()}}, pacer);
    for (int requests = 1; requests <= 1000; ++requests) {
      EXPECT_TRUE(absl::IsUnavailable(client->Call(SmallRequest()).status()));
      ASSERT_LE(server.service.calls(), requests + 50);
      if (requests >= 500) {
        ASSERT_LE(server.service.calls(), requests * 1.1);
      }
    }
    EXPECT_GT(server.service.calls(), 1000);  // the first ones are retried
  }
}

// If such refusals took from the budget, a long rolling restart would use it up and then lose
// calls.
TEST(ClientTest, NoRequestFailsWhereEachMeetsOneServerThatShutsDown) {
  FakeServer server;
  server.service.set_hook([](int call, grpc::ServerContext&) {
    return call % 2 == 1 ? RefuseToDrain() : grpc::Status::OK;
  });
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(client->Call(SmallRequest()).status(), absl::OkStatus()) << i;
  }
  EXPECT_EQ(server.service.calls(), 600);
}

TEST(ClientTest, AnOverloadedServerIsSparedUntilTheWindowHasPassed) {
  FakeServer server;
  std::atomic<bool> overloaded = true;
  server.service.set_hook([&](int, grpc::ServerContext& context) {
    if (!overloaded) return grpc::Status::OK;
    context.AddTrailingMetadata("grpc-retry-pushback-ms", "10");
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full");
  });
  FakePacer pacer;
  const auto client = CreateClient(
      {.targets = {server.address()}, .throttling = ThrottlingPolicy{.window = absl::Minutes(1)}},
      pacer);
  absl::Status last;
  for (int i = 0; i < 100; ++i) last = client->Call(SmallRequest()).status();
  // Of chance 0.5, all are held back once half of those counted, and 8 more, were refused.
  EXPECT_LT(server.service.calls(), 20);
  EXPECT_TRUE(absl::IsResourceExhausted(last)) << last;
  EXPECT_EQ(GetErrorDetails(last).reason, "CLIENT_THROTTLED");
  EXPECT_EQ(GetErrorDetails(last).pushback, absl::Seconds(2));
  EXPECT_EQ(GetErrorDetails(last).attempts, 0);
  bool called = false;
  EXPECT_FALSE(client->Start(SmallRequest(), {}, [&](auto) { called = true; }).ok());
  EXPECT_FALSE(called);
  EXPECT_EQ(client->CheckHealth().status(), absl::OkStatus());

  overloaded = false;
  pacer.Advance(absl::Minutes(1));
  EXPECT_EQ(client->Call(SmallRequest()).status(), absl::OkStatus());
}

TEST(ClientTest, ErrorsCarryPushbackRequestIdAndAttempts) {
  FakeServer server;
  server.service.set_hook(FailFirst(99, grpc::StatusCode::RESOURCE_EXHAUSTED, "20"));
  FakePacer pacer;
  const auto client =
      CreateClient({.targets = {server.address()}, .retry = {.max_attempts = 3}}, pacer);
  const absl::Status status = client->Call(SmallRequest()).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(status.message(), "not now");
  const ErrorDetails details = GetErrorDetails(status);
  EXPECT_EQ(details.pushback, Milliseconds(20));
  EXPECT_EQ(details.request_id, "r3");
  EXPECT_EQ(details.attempts, 3);
  EXPECT_EQ(server.service.calls(), 3);
}

TEST(ClientTest, AWaitPastTheDeadlineReturnsTheLastErrorAtOnce) {
  FakeServer server;
  server.service.set_hook(FailFirst(99, grpc::StatusCode::RESOURCE_EXHAUSTED, "4000"));
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  const absl::Status status = client->Call(SmallRequest(), {.timeout = absl::Seconds(10)}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(server.service.calls(), 3);  // waits 4.4 s and 4.4 s; the third does not fit
  EXPECT_EQ(pacer.waits().size(), 2u);
}

TEST(ClientTest, AMessageOfSeveralMegabytesIsReallyRetried) {
  FakeServer server;
  server.service.set_hook(FailFirst(2, grpc::StatusCode::UNAVAILABLE));
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  const auto rows = std::make_shared<std::vector<float>>(2 << 20, 0.5f);  // 8 MiB
  MultiHeadAttentionRequest request = SmallRequest();
  for (const std::shared_ptr<const void>& owner :
       {std::shared_ptr<const void>(), std::shared_ptr<const void>(rows)}) {
    request.query = {*rows, {1, 2048, 1024}, owner};
    const absl::StatusOr<AttentionResponse> result = client->Call(request);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->output.ToFloats(), *rows);
  }
  EXPECT_EQ(server.service.calls(), 4);
}

TEST(ClientTest, NobodyListeningIsUnavailableAfterAllAttempts) {
  FakePacer pacer;
  const auto client = CreateClient({.targets = {"ipv4:127.0.0.1:1"}}, pacer);
  const absl::Status status = client->Call(SmallRequest()).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(GetErrorDetails(status).attempts, 5);
}

TEST(ClientTest, TheDeadlineEndsACall) {
  FakeServer server;
  server.service.set_hook(
      [](int, grpc::ServerContext& context) { return UntilCancelled(context); });
  const auto client = Connect(server);
  const absl::Status status = client->Call(SmallRequest(), {.timeout = Milliseconds(50)}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_FALSE(client->Call(SmallRequest(), {.timeout = absl::InfiniteDuration()}).ok());
}

TEST(ClientTest, EveryCallCarriesTheDefaultDeadline) {
  FakeServer server;
  std::atomic<bool> has_deadline = false;
  server.service.set_hook([&](int, grpc::ServerContext& context) {
    const absl::Duration left = absl::FromChrono(context.deadline()) - absl::Now();
    // gRPC rounds the timeout that it sends and converts between clocks.
    has_deadline = left > absl::ZeroDuration() && left <= kDefaultTimeout + absl::Seconds(1);
    return grpc::Status::OK;
  });
  ASSERT_TRUE(Connect(server)->Call(SmallRequest()).ok());
  EXPECT_TRUE(has_deadline);
}

TEST(ClientTest, ARetryHasTheTimeThatIsLeftOnTheSteadyClock) {
  FakeServer server;
  std::mutex mutex;
  std::vector<absl::Duration> left;
  server.service.set_hook([&](int call, grpc::ServerContext& context) {
    std::lock_guard<std::mutex> lock(mutex);
    left.push_back(absl::FromChrono(context.deadline()) - absl::Now());
    if (call > 1) return grpc::Status::OK;
    context.AddTrailingMetadata("grpc-retry-pushback-ms", "30000");
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "not now");
  });
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  ASSERT_TRUE(client->Call(SmallRequest(), {.timeout = absl::Minutes(1)}).ok());
  std::lock_guard<std::mutex> lock(mutex);
  ASSERT_EQ(left.size(), 2u);
  // The fake clock waited 33 s. gRPC rounds the timeout that it sends up.
  EXPECT_LE(left[1], absl::Seconds(30));
  EXPECT_GT(left[1], absl::ZeroDuration());
}

TEST(ClientTest, AsynchronousCallsRunTogether) {
  FakeServer server;
  const auto client = Connect(server);
  constexpr int kCalls = 100;
  std::latch done(kCalls);
  std::atomic<int> good = 0;
  const absl::StatusOr<PreparedRequest> prepared = PreparedRequest::Create(SmallRequest());
  ASSERT_TRUE(prepared.ok());
  EXPECT_GT(prepared->size_bytes(), 24u);
  for (int i = 0; i < kCalls; ++i) {
    ASSERT_TRUE(client
                    ->Start(*prepared, {},
                            [&](absl::StatusOr<AttentionResponse> result) {
                              good += result.ok() && result->output.ToFloats() == Rows();
                              done.count_down();
                            })
                    .ok());
  }
  done.wait();
  EXPECT_EQ(good, kCalls);
}

TEST(ClientTest, AsynchronousCallsAreRetriedToo) {
  FakeServer server;
  server.service.set_hook(FailFirst(2, grpc::StatusCode::UNAVAILABLE));
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  std::promise<absl::StatusOr<AttentionResponse>> promise;
  ASSERT_TRUE(
      client->Start(SmallRequest(), {}, [&](auto result) { promise.set_value(std::move(result)); })
          .ok());
  const absl::StatusOr<AttentionResponse> result = promise.get_future().get();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->attempts, 3);
}

TEST(ClientTest, CancelEndsARunningCall) {
  FakeServer server;
  std::promise<void> arrived;
  server.service.set_hook([&](int, grpc::ServerContext& context) {
    arrived.set_value();
    return UntilCancelled(context);
  });
  const auto client = Connect(server);
  std::promise<absl::Status> ended;
  absl::StatusOr<PendingCall> call =
      client->Start(SmallRequest(), {}, [&](auto result) { ended.set_value(result.status()); });
  ASSERT_TRUE(call.ok());
  arrived.get_future().wait();
  call->Cancel();
  EXPECT_TRUE(absl::IsCancelled(ended.get_future().get()));
  call->Cancel();  // does nothing: the call has ended
}

TEST(ClientTest, CancelEndsAWaitForTheNextAttempt) {
  FakeServer server;
  server.service.set_hook(FailFirst(1, grpc::StatusCode::UNAVAILABLE));
  // Reports when the client is about to wait, which would take half the deadline.
  class Pacer : public FakePacer {
   public:
    absl::Duration Wait(absl::Duration planned) override {
      waiting.set_value();
      FakePacer::Wait(planned);
      return absl::Seconds(15);
    }
    std::promise<void> waiting;
  } pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  std::promise<absl::Status> ended;
  absl::StatusOr<PendingCall> call =
      client->Start(SmallRequest(), {}, [&](auto result) { ended.set_value(result.status()); });
  ASSERT_TRUE(call.ok());
  pacer.waiting.get_future().wait();
  call->Cancel();
  EXPECT_TRUE(absl::IsCancelled(ended.get_future().get()));
  EXPECT_EQ(server.service.calls(), 1);
}

TEST(ClientTest, DestructionCancelsAndWaitsForCallbacks) {
  FakeServer server;
  server.service.set_hook(
      [](int, grpc::ServerContext& context) { return UntilCancelled(context); });
  std::atomic<int> ended = 0;
  {
    const auto client = Connect(server);
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(client
                      ->Start(SmallRequest(), {},
                              [&](auto result) { ended += absl::IsCancelled(result.status()); })
                      .ok());
    }
  }
  EXPECT_EQ(ended, 5);
}

TEST(ClientTest, AnUnsendableRequestIsAnErrorOfStart) {
  const auto client = Connect(ClientOptions{});
  MultiHeadAttentionRequest request = SmallRequest();
  request.query = {Rows(), {7, 7}};
  bool called = false;
  EXPECT_TRUE(
      absl::IsInvalidArgument(client->Start(request, {}, [&](auto) { called = true; }).status()));
  EXPECT_FALSE(called);
  EXPECT_TRUE(absl::IsInvalidArgument(client->Call(PreparedRequest()).status()));
}

TEST(ClientTest, AnswersOverTheLimitAreRefused) {
  FakeServer server;
  const auto client = Connect({.targets = {server.address()}, .max_response_bytes = 10});
  const absl::Status status = client->Call(SmallRequest()).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(server.service.calls(), 1);
}

TEST(ClientTest, MetadataAndRequestIdReachTheServerAndTheResponse) {
  FakeServer server;
  std::mutex mutex;
  std::string tenant;
  server.service.set_hook([&](int, grpc::ServerContext& context) {
    const auto value = [&](const char* key) {
      const auto it = context.client_metadata().find(key);
      return it == context.client_metadata().end()
                 ? std::string()
                 : std::string(it->second.data(), it->second.size());
    };
    context.AddTrailingMetadata("x-request-id", value("x-request-id"));
    std::lock_guard<std::mutex> lock(mutex);
    tenant = value("x-tenant");
    return grpc::Status::OK;
  });
  const auto client = Connect(server);
  const auto response =
      client->Call(SmallRequest(), {.metadata = {{"x-tenant", "a"}}, .request_id = "mine-1"});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->request_id, "mine-1");
  std::lock_guard<std::mutex> lock(mutex);
  EXPECT_EQ(tenant, "a");
}

TEST(ClientTest, EveryAttemptIsReported) {
  FakeServer server;
  server.service.set_hook(FailFirst(1, grpc::StatusCode::RESOURCE_EXHAUSTED, "7"));
  FakePacer pacer;
  const auto client = CreateClient({.targets = {server.address()}}, pacer);
  std::vector<AttemptInfo> attempts;
  CallOptions options;
  options.on_attempt = [&](const AttemptInfo& info) { attempts.push_back(info); };
  ASSERT_TRUE(client->Call(SmallRequest(), options).ok());
  ASSERT_EQ(attempts.size(), 2u);
  const AttemptInfo& failed = attempts[0];
  EXPECT_EQ(failed.attempt, 1);
  EXPECT_EQ(failed.method, "/attend.v1.AttentionService/MultiHeadAttention");
  EXPECT_EQ(failed.peer, "ipv4:" + server.address());
  EXPECT_EQ(failed.request_bytes, PreparedRequest::Create(SmallRequest())->size_bytes());
  EXPECT_EQ(failed.response_bytes, 0u);
  EXPECT_EQ(failed.status, absl::ResourceExhaustedError("not now"));
  EXPECT_THAT(failed.trailers, Contains(Pair("x-request-id", "r1")));
  EXPECT_THAT(failed.trailers, Contains(Pair("grpc-retry-pushback-ms", "7")));
  ASSERT_TRUE(failed.retry_after.has_value());
  EXPECT_THAT(pacer.waits(), ElementsAre(*failed.retry_after));
  EXPECT_EQ(attempts[1].attempt, 2);
  EXPECT_EQ(attempts[1].status, absl::OkStatus());
  EXPECT_GT(attempts[1].response_bytes, 0u);
  EXPECT_FALSE(attempts[1].retry_after.has_value());
}

TEST(ClientTest, WrongCallOptionsAreRefusedByName) {
  const auto client = Connect(ClientOptions{});
  const auto field = [&](const CallOptions& options) {
    return GetErrorDetails(client->Call(SmallRequest(), options).status()).field;
  };
  EXPECT_EQ(field({.metadata = {{"Upper", "a"}}}), "metadata");
  EXPECT_EQ(field({.metadata = {{"", "a"}}}), "metadata");
  EXPECT_EQ(field({.metadata = {{"grpc-timeout", "a"}}}), "metadata");
  EXPECT_EQ(field({.metadata = {{"x-request-id", "a"}}}), "metadata");
  EXPECT_EQ(field({.metadata = {{"a", "\n"}}}), "metadata");
  EXPECT_EQ(field({.request_id = std::string(129, 'a')}), "request_id");
  EXPECT_EQ(field({.request_id = "\n"}), "request_id");
}

TEST(ClientTest, ATokenIsNotSentInPlainText) {
  FakeServer server;
  const auto client = Connect(server);
  const absl::Status status =
      client->Call(SmallRequest(), {.credentials = grpc::AccessTokenCredentials("t")}).status();
  EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
  EXPECT_EQ(server.service.calls(), 0);
  const auto pipeline = client->OpenPipeline({.credentials = grpc::AccessTokenCredentials("t")});
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  EXPECT_TRUE(absl::IsUnauthenticated((*pipeline)->Finish()));
}

TEST(ClientTest, FuturesReceiveResponsesAndErrors) {
  FakeServer server;
  const auto client = Connect(server);
  const auto response = client->AsyncCall(SmallRequest()).get();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->output.ToFloats(), Rows());
  EXPECT_TRUE(absl::IsInvalidArgument(client->AsyncCall(PreparedRequest()).get().status()));
}

TEST(ClientTest, AChannelOfTheUsers) {
  FakeServer server;
  const auto client =
      Client::Create(grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials()));
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ((*client)->Call(SmallRequest()).status(), absl::OkStatus());
  EXPECT_FALSE(Client::Create(std::shared_ptr<grpc::Channel>()).ok());
}

TEST(MockClientTest, EveryStyleOfCallArrivesAtTheMethodOfTheRequest) {
  MockClient mock;
  Client& client = mock;
  EXPECT_CALL(mock, MultiHeadAttention)
      .Times(2)
      .WillRepeatedly(::testing::Return(absl::UnavailableError("")));
  EXPECT_TRUE(absl::IsUnavailable(client.Call(SmallRequest()).status()));
  EXPECT_TRUE(absl::IsUnavailable(client.AsyncCall(SmallRequest()).get().status()));
}

TEST(ClientTest, LargeMessagesBothWays) {
  FakeServer server;
  const auto client = Connect(server);
  const auto rows = std::make_shared<std::vector<float>>(16 << 20, 1.25f);  // 64 MiB
  MultiHeadAttentionRequest request = SmallRequest();
  request.query = {*rows, {16, 1024, 1024}, rows};
  const absl::StatusOr<AttentionResponse> result = client->Call(request);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->output.num_elements(), rows->size());
  EXPECT_EQ(result->output.values<float>()->back(), 1.25f);
}

TEST(ClientTest, UnixSockets) {
  const std::string path =
      testing::TempDir() + absl::StrCat("/attend-client-test-", getpid(), ".sock");
  FakeServer server("unix:" + path);
  const auto client = Connect({.targets = {"unix:" + path}});
  EXPECT_TRUE(client->Call(SmallRequest()).ok());
  unlink(path.c_str());
}

// A path for a socket on which nobody listens yet.
std::string FreeSocketPath() {
  return testing::TempDir() + absl::StrCat("/attend-late-", getpid(), ".sock");
}

TEST(ClientTest, ACallMayWaitForAServerToStart) {
  const std::string path = FreeSocketPath();
  const auto client = Connect({.targets = {"unix:" + path}, .retry = {.max_attempts = 1}});
  EXPECT_TRUE(absl::IsUnavailable(client->Call(SmallRequest()).status()));
  const auto pipeline = client->OpenPipeline({.wait_for_ready = true});
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  auto call = client->AsyncCall(SmallRequest(), {.wait_for_ready = true});
  auto item = (*pipeline)->AsyncCall(SmallRequest());
  FakeServer server("unix:" + path);
  EXPECT_EQ(call.get().status(), absl::OkStatus());
  EXPECT_EQ(item.get().status(), absl::OkStatus());
  unlink(path.c_str());
}

// Records the connections, by the client's address, that carried the calls of a hook.
class Peers {
 public:
  FakeService::Hook hook() {
    return [this](int, grpc::ServerContext& context) {
      std::lock_guard<std::mutex> lock(mutex_);
      peers_.insert(context.peer());
      return grpc::Status::OK;
    };
  }
  size_t count() {
    std::lock_guard<std::mutex> lock(mutex_);
    return peers_.size();
  }

 private:
  std::mutex mutex_;
  std::set<std::string> peers_;
};

TEST(ClientTest, SeveralTargetsTakeTurns) {
  FakeServer first;
  FakeServer second;
  for (const auto& targets : std::vector<std::vector<std::string>>{
           {first.address(), second.address()},
           {"ipv4:" + first.address() + "," + second.address()},
           {absl::StrCat("localhost:", first.port()), second.address()}}) {
    const auto client = Connect({.targets = targets});
    const int before_first = first.service.calls();
    const int before_second = second.service.calls();
    // The second connection may come up later than the first: waits until both answer.
    int calls = 0;
    while (first.service.calls() == before_first || second.service.calls() == before_second) {
      ASSERT_TRUE(client->Call(SmallRequest()).ok());
      ASSERT_LT(++calls, 100000);
    }
  }
}

TEST(ClientTest, ALostReplicaIsLeftForTheOther) {
  FakeServer first;
  FakeServer second;
  const auto client = Connect({.targets = {first.address(), second.address()}});
  while (first.service.calls() == 0) ASSERT_TRUE(client->Call(SmallRequest()).ok());
  first.Stop();
  for (int i = 0; i < 20; ++i) {
    const absl::StatusOr<AttentionResponse> result = client->Call(SmallRequest());
    ASSERT_TRUE(result.ok()) << result.status();
  }
}

TEST(ClientTest, SeveralChannelsAreSeveralConnections) {
  FakeServer server;
  Peers peers;
  server.service.set_hook(peers.hook());
  const auto client = Connect({.targets = {server.address()}, .channels = 3});
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(client->Call(SmallRequest()).ok());
  EXPECT_EQ(peers.count(), 3u);
}

TEST(ClientTest, WrongOptionsAreRefusedByName) {
  const auto field = [](const ClientOptions& options) {
    return GetErrorDetails(Client::Create(options).status()).field;
  };
  EXPECT_EQ(field({.targets = {}}), "targets");
  EXPECT_EQ(field({.targets = {""}}), "targets");
  EXPECT_EQ(field({.targets = {"dns:///a:1", "b:2"}}), "targets");
  EXPECT_EQ(field({.targets = {"unix:/a", "b:2"}}), "targets");
  EXPECT_EQ(field({.targets = {"a", "b"}}), "targets");
  EXPECT_EQ(field({.channels = 0}), "channels");
  EXPECT_EQ(field({.max_response_bytes = 0}), "max_response_bytes");
  EXPECT_EQ(field({.keepalive_time = absl::ZeroDuration()}), "keepalive_time");
  EXPECT_EQ(field({.keepalive_timeout = absl::Microseconds(999)}), "keepalive_timeout");
  EXPECT_EQ(field({.tls = TlsOptions{.certificate_pem = "x"}}), "tls");
  EXPECT_EQ(field({.retry = {.max_attempts = 0}}), "retry");
  EXPECT_EQ(field({.retry = {.max_tokens = -1}}), "retry");
  EXPECT_EQ(field({.retry = {.token_ratio = std::nan("")}}), "retry");
  EXPECT_EQ(field({.throttling = ThrottlingPolicy{.requests_per_accept = 0.5}}), "throttling");
  EXPECT_EQ(field({.throttling = ThrottlingPolicy{.window = absl::ZeroDuration()}}), "throttling");
  EXPECT_TRUE(Client::Create({.keepalive_time = absl::InfiniteDuration(),
                              .keepalive_timeout = absl::InfiniteDuration()})
                  .ok());
  EXPECT_TRUE(Client::Create({.targets = {"unix:/a", "unix:/b"}}).ok());
  EXPECT_TRUE(Client::Create({.targets = {"[::1]:1", "127.0.0.1:2"}}).ok());
}

}  // namespace
}  // namespace attend::client
