// SPDX-License-Identifier: Apache-2.0
#include "core/batching/load_estimate.h"

#include "gtest/gtest.h"

namespace attend {
namespace {

class IdleRunner final : public BatchRunner {
  bool Run(int, const std::atomic<bool>&) override { return true; }
};

const IdleRunner kRunner;

TEST(LoadEstimate, SaysNothingUntilAFewBatchesRan) {
  LoadEstimate estimate;
  for (int i = 0; i < 3; ++i) {
    estimate.Observe(&kRunner, 1e9, absl::Seconds(1));
    EXPECT_EQ(estimate.Expected(&kRunner, 1e9), absl::ZeroDuration());
  }
  estimate.Observe(&kRunner, 1e9, absl::Milliseconds(10));
  EXPECT_EQ(estimate.Expected(&kRunner, 2e9), absl::Milliseconds(20));
}

TEST(LoadEstimate, ForgetsTheColdBatches) {
  LoadEstimate estimate;
  estimate.Observe(&kRunner, 1e9, absl::Hours(1));
  for (int i = 0; i < 4; ++i) estimate.Observe(&kRunner, 1e9, absl::Milliseconds(10));
  EXPECT_LT(estimate.Expected(&kRunner, 1e9), absl::Milliseconds(11));
}

TEST(LoadEstimate, FollowsAChange) {
  LoadEstimate estimate;
  for (int i = 0; i < 50; ++i) estimate.Observe(&kRunner, 1e9, absl::Milliseconds(10));
  for (int i = 0; i < 50; ++i) estimate.Observe(&kRunner, 1e9, absl::Milliseconds(40));
  EXPECT_GT(estimate.Expected(&kRunner, 1e9), absl::Milliseconds(38));
  EXPECT_GT(estimate.BatchDuration(), absl::Milliseconds(38));
}

TEST(LoadEstimate, KeepsRunnersApart) {
  const IdleRunner other;
  LoadEstimate estimate;
  for (int i = 0; i < 5; ++i) {
    estimate.Observe(&kRunner, 1e6, absl::Milliseconds(10));
    estimate.Observe(&other, 1e9, absl::Milliseconds(10));
  }
  EXPECT_NEAR(absl::ToDoubleMilliseconds(estimate.Expected(&kRunner, 1e6)), 10.0, 1e-6);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(estimate.Expected(&other, 1e6)), 0.01, 1e-6);
}

TEST(LoadEstimate, IgnoresBatchesWithoutCostOrTime) {
  LoadEstimate estimate;
  for (int i = 0; i < 9; ++i) {
    estimate.Observe(&kRunner, 0.0, absl::Seconds(1));
    estimate.Observe(&kRunner, 1e9, absl::ZeroDuration());
  }
  EXPECT_EQ(estimate.Expected(&kRunner, 1e9), absl::ZeroDuration());
}

}  // namespace
}  // namespace attend
