// SPDX-License-Identifier: Apache-2.0
#include "server/calls/call_queue.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sched.h>

#include <atomic>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "attend/v1/server.grpc.pb.h"
#include "core/base/mutex.h"
#include "gtest/gtest.h"
#include "server/calls/message_call.h"
#include "tests/support/call_server.h"

namespace attend {
namespace {

constexpr char kPath[] = "/attend.v1.ServerService/GetServerInfo";

// Answers each call with what `answer` puts into ServerInfo.
template <typename Answer>
Routes AnswerInfo(Answer answer) {
  Routes routes;
  routes[kPath] = AnswerUncounted(AnswerMessages<v1::GetServerInfoRequest, v1::ServerInfo>(
      [answer](const auto&, v1::ServerInfo& info) {
        answer(info);
        return absl::OkStatus();
      }));
  return routes;
}

struct Answered {
  grpc::Status status;
  v1::ServerInfo info;
  bool pushback = false;
};

Answered Ask(const CallServer& server) {
  grpc::ClientContext context;
  Answered answered;
  answered.status =
      v1::ServerService::NewStub(server.channel())->GetServerInfo(&context, {}, &answered.info);
  answered.pushback = context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms") > 0;
  return answered;
}

TEST(CallQueueTest, AnswersManyCallsOnSeveralThreads) {
  std::atomic<int> calls{0};
  CallServer server(AnswerInfo([&](v1::ServerInfo& info) { info.set_workers(++calls); }), 3);
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int n = 0; n < 100; ++n) EXPECT_TRUE(Ask(server).status.ok());
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(calls, 400);
}

TEST(CallQueueTest, RefusesMethodsThatItDoesNotHave) {
  CallServer server({});
  const Answered answered = Ask(server);
  EXPECT_EQ(answered.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(answered.status.error_message(),
            "the server has no method \"/attend.v1.ServerService/GetServerInfo\"");
}

TEST(CallQueueTest, RefusesACallForWhichThereIsNoMemoryAndTakesTheNext) {
  bool memory = false;  // calls come one after another
  Routes routes = AnswerInfo([](v1::ServerInfo& info) { info.set_version("1"); });
  const CallFactory make = routes[kPath];
  routes[kPath] = [&](Rpc& rpc) {
    if (!memory) throw std::bad_alloc();
    return make(rpc);
  };
  CallServer server(routes);
  const Answered refused = Ask(server);
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(refused.pushback);
  EXPECT_NE(refused.status.error_details().find("MEMORY"), std::string::npos);
  memory = true;
  EXPECT_EQ(Ask(server).info.version(), "1");
}

TEST(CallQueueTest, WaitsForItsTurnOnACoreOnlyWhileTheServerIsOverloaded) {
  std::atomic<bool> overloaded{false};
  CallServer server(
      AnswerInfo([](v1::ServerInfo& info) { info.set_workers(sched_getscheduler(0)); }), 1,
      [&] { return overloaded.load(); });
  EXPECT_EQ(Ask(server).info.workers(), SCHED_OTHER);
  overloaded = true;
  Ask(server);  // the policy changes after an event
  EXPECT_EQ(Ask(server).info.workers(), SCHED_BATCH);
  overloaded = false;
  Ask(server);
  EXPECT_EQ(Ask(server).info.workers(), SCHED_OTHER);
}

TEST(CallQueueTest, StopsAtOnceHoweverOften) {
  for (int i = 0; i < 50; ++i) CallServer({}, 3).Shutdown();
}

// Never ends its call of its own accord.
class SilentCall final : public Call {
 public:
  struct Seen {
    std::atomic<int> cancelled{0}, done{0};
  };

  SilentCall(Rpc& rpc, Seen& seen) : rpc_(rpc), seen_(seen) {}

 private:
  void Start() override { rpc_.Read(message_); }
  void OnReadDone(bool) override {}
  void OnCancel(const absl::Status&) override {
    ++seen_.cancelled;
    rpc_.Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { ++seen_.done; }

  Rpc& rpc_;
  Seen& seen_;
  grpc::ByteBuffer message_;
};

TEST(CallQueueTest, TellsCallsOnceThatTheirCallersHaveGoneOrTheServerStops) {
  SilentCall::Seen seen;
  Routes routes;
  routes[kPath] = [&](Rpc& rpc) { return std::make_shared<SilentCall>(rpc, seen); };
  CallServer server(routes);
  grpc::ClientContext expires;
  expires.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  v1::ServerInfo info;
  EXPECT_EQ(
      v1::ServerService::NewStub(server.channel())->GetServerInfo(&expires, {}, &info).error_code(),
      grpc::StatusCode::DEADLINE_EXCEEDED);
  std::thread caller([&] { EXPECT_FALSE(Ask(server).status.ok()); });
  server.Shutdown();  // whether the second call has come by now or not
  caller.join();
  EXPECT_GE(seen.done, 1);
  EXPECT_EQ(seen.done, seen.cancelled);
}

}  // namespace
}  // namespace attend
