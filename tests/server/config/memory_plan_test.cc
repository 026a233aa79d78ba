// SPDX-License-Identifier: Apache-2.0
#include "server/config/memory_plan.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(MemoryPlanTest, GivesTheDefaultsWhereMemoryIsNotLimited) {
  ServerConfig config;
  ASSERT_TRUE(PlanMemory({}, config).ok());
  EXPECT_EQ(config.max_in_flight_bytes, 1024 * kMiB);
  EXPECT_EQ(config.transport.max_receive_bytes, 768 * kMiB);
  EXPECT_EQ(config.transport.max_request_bytes, 256 * kMiB);
  EXPECT_EQ(config.max_caller_bytes, 512 * kMiB);
}

TEST(MemoryPlanTest, KeepsWhatIsSetAndSaysThatItDoesNotFit) {
  ServerConfig config;
  config.max_in_flight_bytes = 400 * kMiB;
  config.transport.max_receive_bytes = 300 * kMiB;
  config.transport.max_request_bytes = 10 * kMiB;
  config.max_caller_bytes = 77 * kMiB;
  ASSERT_TRUE(PlanMemory({512 * kMiB, 0}, config).ok());
  EXPECT_EQ(config.max_in_flight_bytes, 400 * kMiB);
  EXPECT_EQ(config.transport.max_receive_bytes, 300 * kMiB);
  EXPECT_EQ(config.transport.max_request_bytes, 10 * kMiB);
  EXPECT_EQ(config.max_caller_bytes, 77 * kMiB);
  EXPECT_FALSE(FitsMemory({512 * kMiB, 0}, config));
  constexpr int64_t kFits = (700 * kMiB + kUncountedBytes) / 3 * 4;  // a quarter is spared
  EXPECT_FALSE(FitsMemory({kFits, kMiB}, config));
  EXPECT_TRUE(FitsMemory({kFits, 0}, config));
}

TEST(MemoryPlanTest, DividesWhatIsLeft) {
  ServerConfig config;
  config.max_in_flight_bytes = 300 * kMiB;
  const ProcessMemory memory = {(kUncountedBytes + 500 * kMiB) / 3 * 4 + kMiB, 100 * kMiB};
  ASSERT_TRUE(PlanMemory(memory, config).ok());
  EXPECT_EQ(config.max_in_flight_bytes, 300 * kMiB);
  EXPECT_EQ(config.transport.max_receive_bytes, 100 * kMiB);
  EXPECT_TRUE(FitsMemory(memory, config));
}

// A sum of sizes overflowed, so that memory was divided that was not there.
TEST(MemoryPlanTest, RefusesToDivideWhenTheRestIsSetToMoreThanThereIs) {
  ServerConfig config;
  config.max_in_flight_bytes = std::numeric_limits<int64_t>::max();
  const absl::Status status = PlanMemory({64 * kMiB, 0}, config);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(status.message(), testing::HasSubstr("leaves 0 MiB for requests"));
}

TEST(MemoryPlanTest, FitsEveryLimitOrSaysWhyNot) {
  int refused = 0, less = 0;
  for (int64_t limit = 32 * kMiB; limit < 4096 * kMiB; limit += 7 * kMiB) {
    for (const int64_t held : {int64_t{0}, 40 * kMiB, 900 * kMiB}) {
      ServerConfig config;
      const absl::Status status = PlanMemory({limit, held}, config);
      if (!status.ok()) {
        ++refused;
        EXPECT_THAT(status.message(), testing::HasSubstr("memory limit"));
        EXPECT_LT(limit - SpareBytes(limit) - held - kUncountedBytes, 64 * kMiB)
            << limit << ", " << held;
        continue;
      }
      less += config.max_in_flight_bytes < 1024 * kMiB;
      EXPECT_TRUE(FitsMemory({limit, held}, config)) << limit << ", " << held;
      EXPECT_GE(config.transport.max_request_bytes, 8 * kMiB) << limit << ", " << held;
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(less, 0);
}

// Connections ended only once more was held than the limit, that is never: the process was ended.
TEST(MemoryPlanTest, EndsConnectionsBeforeTheLimitIsReached) {
  for (const int64_t limit : {400 * kMiB, 700 * kMiB, 2048 * kMiB, 3072 * kMiB}) {
    for (const int64_t set : {int64_t{0}, 4096 * kMiB, std::numeric_limits<int64_t>::max()}) {
      const ProcessMemory memory = {limit, 100 * kMiB};
      ServerConfig config;
      config.max_in_flight_bytes = config.transport.max_receive_bytes = set;
      ASSERT_TRUE(PlanMemory(memory, config).ok());
      const int64_t most = MostHeldBytes(memory, config, /*reload_bytes=*/200 * kMiB);
      EXPECT_LE(most, limit - SpareBytes(limit)) << limit << ", " << set;
      EXPECT_GE(most, memory.held + kUncountedBytes) << limit << ", " << set;
    }
  }
}

TEST(MemoryPlanTest, LetsAllBudgetsBeUsedBeforeConnectionsEnd) {
  for (int64_t limit = 400 * kMiB; limit < 4096 * kMiB; limit += 7 * kMiB) {
    const ProcessMemory memory = {limit, 50 * kMiB};
    ServerConfig config;
    ASSERT_TRUE(PlanMemory(memory, config).ok());
    const int64_t budgets = config.max_in_flight_bytes + config.transport.max_receive_bytes;
    EXPECT_GE(MostHeldBytes(memory, config, 0), memory.held + kUncountedBytes + budgets) << limit;
  }
  ServerConfig config;
  ASSERT_TRUE(PlanMemory({}, config).ok());
  EXPECT_EQ(MostHeldBytes({}, config, 7), kUncountedBytes + (1024 + 768) * kMiB + 7);
}

// With less than an idle process holds, every connection would end.
TEST(MemoryPlanTest, NeverEndsConnectionsForWhatTheProcessHoldsAnyway) {
  ServerConfig config;
  config.max_in_flight_bytes = config.transport.max_receive_bytes = 100 * kMiB;
  EXPECT_EQ(MostHeldBytes({200 * kMiB, 190 * kMiB}, config, kMiB), 190 * kMiB + kUncountedBytes);
}

}  // namespace
}  // namespace attend
