// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/window.h"

#include <gtest/gtest.h>

#include <thread>

#include "attend/error.h"

namespace attend::client::internal {
namespace {

constexpr absl::Duration kForEver = absl::Hours(1);

TEST(WindowTest, RefusesMoreRequestsOrBytesThanItHasRoomFor) {
  Window window(3, 100);
  EXPECT_EQ(window.Take(60), absl::OkStatus());
  const absl::Status full = window.Take(41);
  EXPECT_TRUE(absl::IsResourceExhausted(full));
  EXPECT_EQ(GetErrorDetails(full).reason, "PIPELINE_FULL");
  EXPECT_EQ(window.Take(20), absl::OkStatus());
  EXPECT_EQ(window.Take(20), absl::OkStatus());
  EXPECT_TRUE(absl::IsResourceExhausted(window.Take(0)));
  window.Return(20);
  EXPECT_EQ(window.Take(20), absl::OkStatus());
}

TEST(WindowTest, ARequestLargerThanTheWindowHasRoomWhileItIsAlone) {
  Window window(3, 100);
  EXPECT_EQ(window.Take(1), absl::OkStatus());
  EXPECT_TRUE(absl::IsResourceExhausted(window.Take(101)));
  window.Return(1);
  EXPECT_EQ(window.Take(101), absl::OkStatus());
  EXPECT_TRUE(absl::IsResourceExhausted(window.Take(1)));
}

TEST(WindowTest, WaitsUntilThereIsRoom) {
  Window window(1, 100);
  ASSERT_EQ(window.Take(1), absl::OkStatus());
  std::thread waits([&] { EXPECT_EQ(window.Wait(1, kForEver), absl::OkStatus()); });
  window.Return(1);
  waits.join();
  EXPECT_TRUE(absl::IsResourceExhausted(window.Take(1)));  // the other has it
}

TEST(WindowTest, WaitsNoLongerThanItsTimeout) {
  Window window(1, 100);
  ASSERT_EQ(window.Take(1), absl::OkStatus());
  EXPECT_TRUE(absl::IsDeadlineExceeded(window.Wait(1, absl::ZeroDuration())));
  EXPECT_TRUE(absl::IsDeadlineExceeded(window.Wait(1, absl::Milliseconds(5))));
  window.Return(1);
  EXPECT_EQ(window.Wait(1, absl::ZeroDuration()), absl::OkStatus());  // the one that left has none
}

TEST(WindowTest, ALargeRequestThatWaitsIsNotOvertaken) {
  Window window(10, 100);
  ASSERT_EQ(window.Take(60), absl::OkStatus());
  std::thread large([&] {
    EXPECT_EQ(window.Wait(100, kForEver), absl::OkStatus());
    window.Return(100);
  });
  while (window.Take(1).ok()) window.Return(1);  // until the large one waits
  EXPECT_TRUE(absl::IsDeadlineExceeded(window.Wait(1, absl::ZeroDuration())));
  window.Return(60);
  large.join();
  EXPECT_EQ(window.Take(100), absl::OkStatus());
}

TEST(WindowTest, OneThatGivesUpLetsThoseBehindItIn) {
  Window window(10, 100);
  ASSERT_EQ(window.Take(60), absl::OkStatus());
  std::thread large(
      [&] { EXPECT_TRUE(absl::IsDeadlineExceeded(window.Wait(100, absl::Milliseconds(50)))); });
  while (window.Take(1).ok()) window.Return(1);
  EXPECT_EQ(window.Wait(1, kForEver), absl::OkStatus());
  large.join();
}

TEST(WindowTest, ClosingEndsEveryWait) {
  Window window(1, 100);
  ASSERT_EQ(window.Take(1), absl::OkStatus());
  std::thread waits([&] { EXPECT_TRUE(absl::IsAborted(window.Wait(1, kForEver))); });
  window.Close(absl::AbortedError("first"));
  window.Close(absl::InternalError("second"));
  waits.join();
  window.Return(1);
  EXPECT_TRUE(absl::IsAborted(window.Take(1)));
  EXPECT_TRUE(absl::IsAborted(window.Wait(1, kForEver)));
}

}  // namespace
}  // namespace attend::client::internal
