// SPDX-License-Identifier: Apache-2.0
#include "core/exec/execution_context.h"

#include <vector>

#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(ExecutionContext, GivesEachWorkerAnArenaOfItsOwn) {
  ExecutionContext context(3);
  EXPECT_EQ(context.workers(), 3);
  std::vector<int> ran(100, 0);
  context.pool().ParallelFor(100, [&](int64_t i, int worker) {
    ArenaFrame frame(context.arena(worker));
    int* const own = frame.Take<int>(1000);
    for (int k = 0; k < 1000; ++k) own[k] = static_cast<int>(i);
    ran[i] = own[999] == i && own[0] == i;
  });
  for (const int ok : ran) EXPECT_TRUE(ok);
}

TEST(ExecutionContext, RetainsAtMostItsBoundAfterATrim) {
  const RetainedMemory retained{64 << 10, 8 << 10};
  ExecutionContext context(2, retained);
  const auto take = [&](int worker, int64_t bytes) {
    ArenaFrame(context.arena(worker)).Take<std::byte>(static_cast<size_t>(bytes));
  };
  take(0, retained.caller_bytes);
  take(1, retained.worker_bytes + 64);
  context.Trim();
  EXPECT_EQ(context.arena(0).held_bytes(), static_cast<size_t>(retained.caller_bytes));
  EXPECT_EQ(context.arena(1).held_bytes(), 0u);
}

TEST(RetainedMemory, IsLoweredToFitIntoWhatItIsGiven) {
  constexpr int64_t kMiB = int64_t{1} << 20;
  const auto caller = [](int64_t bytes, int workers) {
    return RetainedMemory::Within(bytes, workers).caller_bytes;
  };
  const auto worker = [](int64_t bytes, int workers) {
    return RetainedMemory::Within(bytes, workers).worker_bytes;
  };
  EXPECT_EQ(caller(1000 * kMiB, 8), 100 * kMiB);
  EXPECT_EQ(worker(1000 * kMiB, 8), 4 * kMiB);
  EXPECT_EQ(caller(128 * kMiB, 33), 100 * kMiB);
  EXPECT_LT(worker(128 * kMiB, 33), kMiB);
  EXPECT_EQ(caller(5 * kMiB, 3), 4 * kMiB);
  EXPECT_EQ(worker(5 * kMiB, 3), kMiB / 2);
  for (const int64_t bytes : {int64_t{0}, int64_t{7}, kMiB, 100 * kMiB, 130 * kMiB}) {
    for (const int workers : {1, 2, 3, 64}) {
      EXPECT_LE(RetainedMemory::Within(bytes, workers).TotalBytes(workers), bytes);
    }
  }
}

}  // namespace
}  // namespace attend
