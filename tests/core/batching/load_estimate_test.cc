#include "core/batching/load_estimate.h"

#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(LoadEstimate, SaysNothingUntilAFewBatchesRan) {
  LoadEstimate estimate;
  for (int i = 0; i < 3; ++i) {
    estimate.Observe(nullptr, 1e9, absl::Seconds(1));
    EXPECT_EQ(estimate.Expected(nullptr, 1e9), absl::ZeroDuration());
  }
  estimate.Observe(nullptr, 1e9, absl::Milliseconds(10));
  EXPECT_EQ(estimate.Expected(nullptr, 2e9), absl::Milliseconds(20));
}

TEST(LoadEstimate, ForgetsTheColdBatches) {
  LoadEstimate estimate;
  estimate.Observe(nullptr, 1e9, absl::Hours(1));
  for (int i = 0; i < 4; ++i) estimate.Observe(nullptr, 1e9, absl::Milliseconds(10));
  EXPECT_LT(estimate.Expected(nullptr, 1e9), absl::Milliseconds(11));
}

TEST(LoadEstimate, FollowsAChange) {
  LoadEstimate estimate;
  for (int i = 0; i < 50; ++i) estimate.Observe(nullptr, 1e9, absl::Milliseconds(10));
  for (int i = 0; i < 50; ++i) estimate.Observe(nullptr, 1e9, absl::Milliseconds(40));
  EXPECT_GT(estimate.Expected(nullptr, 1e9), absl::Milliseconds(38));
  EXPECT_GT(estimate.BatchDuration(), absl::Milliseconds(38));
}

TEST(LoadEstimate, KeepsGroupsApart) {
  const int layer = 0;
  LoadEstimate estimate;
  for (int i = 0; i < 5; ++i) {
    estimate.Observe(nullptr, 1e6, absl::Milliseconds(10));
    estimate.Observe(&layer, 1e9, absl::Milliseconds(10));
  }
  EXPECT_NEAR(absl::ToDoubleMilliseconds(estimate.Expected(nullptr, 1e6)), 10.0, 1e-6);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(estimate.Expected(&layer, 1e6)), 0.01, 1e-6);
}

TEST(LoadEstimate, IgnoresBatchesWithoutCostOrTime) {
  LoadEstimate estimate;
  for (int i = 0; i < 9; ++i) {
    estimate.Observe(nullptr, 0.0, absl::Seconds(1));
    estimate.Observe(nullptr, 1e9, absl::ZeroDuration());
  }
  EXPECT_EQ(estimate.Expected(nullptr, 1e9), absl::ZeroDuration());
}

}  // namespace
}  // namespace attend
