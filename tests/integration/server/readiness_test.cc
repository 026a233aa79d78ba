// SPDX-License-Identifier: Apache-2.0

// What /readyz says from the start of a server to its end.

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/raw_http2.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

using testing::HasSubstr;

// A server that starts, and gets no further than to measure its layer until Release is called.
class HeldStart {
 public:
  HeldStart()
      : path_(TestPath("held-start")),
        lock_(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)),
        locked_(flock(lock_, LOCK_EX)),
        process_(ATTEND_HOLDABLE_SERVER,
                 {path_, "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--drain-delay=0s",
                  "--random-layer=a:embed_dim=64,num_heads=2"}) {
    EXPECT_EQ(locked_, 0);
    EXPECT_TRUE(Eventually([&] { return absl::StrContains(process_.Output(), "divided memory"); }))
        << process_.Output();
  }
  ~HeldStart() { Release(); }

  void Release() {
    if (lock_ >= 0) close(std::exchange(lock_, -1));
  }

  Process& process() { return process_; }

 private:
  const std::string path_;
  int lock_;
  const int locked_;
  Process process_;
};

// It went on to load its layers, and was killed when they took longer than it was given to end.
TEST(ReadinessTest, EndsAtOnceOnASignalThatComesWhileItStarts) {
  for (const int signal : {SIGTERM, SIGINT}) {
    HeldStart start;
    start.process().Signal(signal);
    EXPECT_EQ(start.process().Wait(), 0);
    EXPECT_THAT(start.process().Output(),
                HasSubstr(absl::StrCat("signal received before the server listens signal=\"",
                                       signal, "\"")));
  }
}

TEST(ReadinessTest, AnswersOverHttpWhileItStarts) {
  HeldStart start;
  Process& process = start.process();
  const std::string before = "serving metrics address=\"";
  std::string address = process.Output();
  address = address.substr(address.find(before) + before.size());
  address = address.substr(0, address.find('"'));
  EXPECT_EQ(HttpGet(address, "/healthz").code, 200);
  const HttpAnswer starting = HttpGet(address, "/readyz");
  EXPECT_EQ(starting.code, 503);
  EXPECT_THAT(starting.body, HasSubstr("starting"));
  const HttpAnswer metrics = HttpGet(address, "/metrics");
  EXPECT_EQ(metrics.code, 200);
  EXPECT_THAT(metrics.body, HasSubstr("\nattend_queue_requests 0\n"));
  EXPECT_FALSE(absl::StrContains(process.Output(), "listening"));
  start.Release();
  EXPECT_TRUE(Eventually([&] { return HttpGet(address, "/readyz").code == 200; }));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0);
}

TEST(ReadinessTest, SaysWhetherItIsReadyOverHttp) {
  ServerProcess server({"--drain-delay=60s"});
  EXPECT_EQ(HttpGet(server.metrics_address(), "/healthz").code, 200);
  EXPECT_EQ(HttpGet(server.metrics_address(), "/readyz").code, 200);
  EXPECT_EQ(HttpGet(server.metrics_address(), "/other").code, 404);
  server.process().Signal(SIGTERM);
  EXPECT_TRUE(Eventually([&] { return HttpGet(server.metrics_address(), "/readyz").code == 503; }));
  EXPECT_EQ(HttpGet(server.metrics_address(), "/healthz").code, 200);
}

TEST(ReadinessTest, IsNotReadyWhileABatchRunsManyTimesAsLongAsPredicted) {
  HoldableServer server({"--workers=1"});
  const auto ready = [&] { return HttpGet(server.metrics_address(), "/readyz"); };
  EXPECT_EQ(ready().code, 200);
  HeldCall call(server);
  HttpAnswer answer;
  EXPECT_TRUE(Eventually([&] { return (answer = ready()).code == 503; }));
  EXPECT_EQ(answer.body, "not ready: a batch runs many times as long as predicted\n");
  EXPECT_TRUE(call.Release().status.ok());
  EXPECT_TRUE(Eventually([&] { return ready().code == 200; }));
}

TEST(ReadinessTest, IsNotReadyWhileNoConnectionIsLeft) {
  ServerProcess server({"--max-connections=1"});
  const auto ready = [&] { return HttpGet(server.metrics_address(), "/readyz"); };
  {
    RawHttp2 only(server.tcp());
    EXPECT_EQ(ready().code, 200);  // a new one would take the place of one without a call
    only.StartCall(kScaledDotProductPath, "");
    EXPECT_TRUE(Eventually([&] { return ready().code == 503; }));
    EXPECT_THAT(ready().body, HasSubstr("all of 1 connections are in use"));
  }
  EXPECT_TRUE(Eventually([&] { return ready().code == 200; }));
}

}  // namespace
}  // namespace attend
