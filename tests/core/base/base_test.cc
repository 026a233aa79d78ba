// SPDX-License-Identifier: Apache-2.0

// Tests of the small files of core/base.

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "core/base/aligned_buffer.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

bool OnACacheLine(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % 64 == 0;
}

TEST(AlignedBuffer, StartsOnACacheLineAndHoldsNothingAtSizeZero) {
  AlignedBuffer buffer(3);
  EXPECT_TRUE(OnACacheLine(buffer.data()));
  EXPECT_EQ(buffer.size(), 3u);
  EXPECT_EQ(AlignedBuffer(0).data(), nullptr);
  AlignedBuffer moved = std::move(buffer);
  EXPECT_EQ(moved.size(), 3u);
}

TEST(SteadyClock, NeverGoesBack) {
  const absl::Time first = Clock::Steady().Now();
  EXPECT_LE(first, Clock::Steady().Now());
}

TEST(CondVar, WakesAWaiterAndWaitForEndsByItself) {
  Mutex mutex;
  CondVar changed;
  bool set = false;
  std::thread setter([&] {
    MutexLock lock(mutex);
    set = true;
    changed.NotifyAll();
  });
  {
    MutexLock lock(mutex);
    while (!set) changed.Wait(mutex);
    changed.WaitFor(mutex, std::chrono::nanoseconds(1));
  }
  setter.join();
  EXPECT_TRUE(set);
}

TEST(Status, CarriesReasonFieldAndPushback) {
  const absl::Status invalid = InvalidField("options.scale", "must be finite");
  EXPECT_EQ(invalid.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(invalid.message(), "options.scale: must be finite");
  EXPECT_EQ(GetErrorInfo(invalid).reason, "INVALID_VALUE");
  EXPECT_EQ(GetErrorInfo(InvalidField("query", "is missing", "MISSING_FIELD")).reason,
            "MISSING_FIELD");
  EXPECT_EQ(GetErrorInfo(invalid).field, "options.scale");
  EXPECT_LT(GetRetryPushback(invalid), absl::ZeroDuration());

  const absl::Status busy = Overloaded("QUEUE_FULL", "busy", absl::Milliseconds(20));
  EXPECT_EQ(busy.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(busy).reason, "QUEUE_FULL");
  EXPECT_EQ(GetErrorInfo(busy).field, "");
  EXPECT_EQ(GetRetryPushback(busy), absl::Milliseconds(20));
  EXPECT_EQ(GetErrorInfo(absl::OkStatus()).reason, "");
}

absl::StatusOr<int> Half(int x) {
  if (x % 2 != 0) return absl::InvalidArgumentError("odd");
  return x / 2;
}

absl::Status Quarter(int x, int& out) {
  ATTEND_ASSIGN_OR_RETURN(const int half, Half(x));
  ATTEND_ASSIGN_OR_RETURN(out, Half(half));
  ATTEND_RETURN_IF_ERROR(absl::OkStatus());
  return absl::OkStatus();
}

TEST(StatusMacros, ReturnTheFirstError) {
  int out = 0;
  EXPECT_TRUE(Quarter(12, out).ok());
  EXPECT_EQ(out, 3);
  EXPECT_EQ(Quarter(6, out).message(), "odd");
}

}  // namespace
}  // namespace attend
