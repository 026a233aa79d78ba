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
  ExecutionContext context(2);
  const auto caller = static_cast<size_t>(ExecutionContext::kMaxRetainedByCaller);
  const auto worker = static_cast<size_t>(ExecutionContext::kMaxRetainedByWorker);
  { ArenaFrame(context.arena(0)).Take<std::byte>(caller); }
  { ArenaFrame(context.arena(1)).Take<std::byte>(worker + 64); }
  context.Trim();
  EXPECT_EQ(context.arena(0).held_bytes(), caller);
  EXPECT_EQ(context.arena(1).held_bytes(), 0u);
  EXPECT_EQ(ExecutionContext::MaxRetainedBytes(2), static_cast<int64_t>(caller + worker));
}

}  // namespace
}  // namespace attend
