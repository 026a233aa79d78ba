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
  EXPECT_FALSE(FitsMemory({700 * kMiB + kUncountedBytes, kMiB}, config));
  EXPECT_TRUE(FitsMemory({700 * kMiB + kUncountedBytes, 0}, config));
}

TEST(MemoryPlanTest, DividesWhatIsLeft) {
  ServerConfig config;
  config.max_in_flight_bytes = 300 * kMiB;
  const ProcessMemory memory = {kUncountedBytes + 500 * kMiB, 100 * kMiB};
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
        EXPECT_LT(limit - held - kUncountedBytes, 64 * kMiB) << limit << ", " << held;
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

}  // namespace
}  // namespace attend
