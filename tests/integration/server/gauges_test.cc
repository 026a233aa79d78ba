// SPDX-License-Identifier: Apache-2.0

// The gauges of the queue and of the running batch, which alerts and the autoscaler of
// deploy/helm read, from an idle server to a busy one and back.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

TEST(GaugesTest, TellOfWorkThatWaitsAndRunsUntilItHasEnded) {
  HoldableServer server({"--workers=1", "--batching=off"});
  const std::vector<std::string> gauges = {
      "attend_queue_requests",       "attend_queue_bytes",          "attend_queue_expected_seconds",
      "attend_queue_oldest_seconds", "attend_batch_oldest_seconds", "attend_batch_overrun_seconds",
  };
  HeldCall held(server);
  Call queued(server.Channel(), kScaledDotProductPath, ShortRequest());
  for (const std::string& gauge : gauges) {
    EXPECT_TRUE(Eventually([&] { return Sum(server.Metrics(), gauge) > 0; })) << gauge;
  }
  // Each of the two calls came on a connection of its own.
  EXPECT_EQ(Sum(server.Metrics(), "attend_connections_accepted_total"), 2);
  EXPECT_EQ(Sum(server.Metrics(), "attend_queue_requests"), 1);
  EXPECT_TRUE(held.Release().status.ok());
  EXPECT_TRUE(queued.Wait().status.ok());
  for (const std::string& gauge : gauges) {
    EXPECT_TRUE(Eventually([&] {
      const auto metrics = server.Metrics();
      return metrics.count(gauge) == 1 && Sum(metrics, gauge) == 0;
    })) << gauge;
  }
}

}  // namespace
}  // namespace attend
