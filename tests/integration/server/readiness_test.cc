// SPDX-License-Identifier: Apache-2.0

// What /readyz says from the start of a server to its end.

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/raw_http2.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

using testing::HasSubstr;

// The engine measures each layer before the server listens, and that is held here.
TEST(ReadinessTest, AnswersOverHttpWhileItStarts) {
  const std::string path = TestPath("held-start");
  const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(flock(lock, LOCK_EX), 0);
  Process process(ATTEND_HOLDABLE_SERVER,
                  {path, "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--drain-delay=0s",
                   "--random-layer=a:embed_dim=64,num_heads=2"});
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(process.Output(), "divided memory"); }))
      << process.Output();
  const std::string start = "serving metrics address=\"";
  std::string address = process.Output();
  address = address.substr(address.find(start) + start.size());
  address = address.substr(0, address.find('"'));
  EXPECT_EQ(HttpGet(address, "/healthz").code, 200);
  const HttpAnswer starting = HttpGet(address, "/readyz");
  EXPECT_EQ(starting.code, 503);
  EXPECT_THAT(starting.body, HasSubstr("starting"));
  const HttpAnswer metrics = HttpGet(address, "/metrics");
  EXPECT_EQ(metrics.code, 200);
  EXPECT_THAT(metrics.body, HasSubstr("\nattend_queue_requests 0\n"));
  EXPECT_FALSE(absl::StrContains(process.Output(), "listening"));
  close(lock);
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
