// SPDX-License-Identifier: Apache-2.0
#include "server/calls/calls_in_flight.h"

#include <thread>

#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(CallsInFlightTest, DoesNotWaitWhereThereIsNone) {
  CallsInFlight calls;
  EXPECT_TRUE(calls.WaitForNone(absl::ZeroDuration()));
}

TEST(CallsInFlightTest, GivesUpAtTheTimeout) {
  CallsInFlight calls;
  calls.Add();
  EXPECT_FALSE(calls.WaitForNone(absl::Milliseconds(1)));
}

TEST(CallsInFlightTest, ReturnsWhenTheLastOneEnds) {
  CallsInFlight calls;
  calls.Add();
  calls.Add();
  std::thread other([&] {
    calls.Remove();
    calls.Remove();
  });
  EXPECT_TRUE(calls.WaitForNone(absl::Minutes(1)));
  other.join();
}

}  // namespace
}  // namespace attend
