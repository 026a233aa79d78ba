// SPDX-License-Identifier: Apache-2.0
#include "core/batching/correction.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/core/batching/idle_runner.h"
#include "tests/core/batching/times.h"

namespace attend {
namespace {

const IdleRunner kRunner;
const IdleRunner kOther;

// Some batches in a row whose times stand in one ratio to their predictions.
struct Batches {
  int count = 0;
  double ratio = 1.0;
  double predicted_seconds = 0.01;
};

struct CorrectionCase {
  std::string name;
  std::vector<Batches> batches;
  double factor;
};

std::vector<CorrectionCase> Cases() {
  const double from_one_to_two = std::exp2(1.0 - std::pow(0.9, 10));
  return {
      {"PredictionsAreTrustedAtFirst", {}, 1.0},
      {"TheFirstBatchHasHalfOfTheWeight", {{1, 4.0}}, 2.0},
      {"TheNextOneHasAThird", {{1, 4.0}, {1, 1.0}}, std::cbrt(4.0)},
      {"EarlyBatchesWeighTheSame", {{4, 2.0}}, std::pow(2.0, 4.0 / 5.0)},
      {"FasterBatchesLowerTheFactor", {{1, 0.25}}, 0.5},
      {"TheMeanIsGeometric", {{1, 3.0}, {1, 1.0 / 3.0}}, 1.0},
      {"OneBatchIsBoundedAbove", {{1, 1e6}}, std::sqrt(8.0)},
      {"OneBatchIsBoundedBelow", {{1, 1e-6}}, std::sqrt(1.0 / 8.0)},
      {"AStrangeBatchHasLittleWeight", {{500, 1.0}, {1, 1e6}}, std::pow(8.0, 0.1)},
      {"AChangeShowsAfterTenBatches", {{500, 1.0}, {10, 2.0}}, from_one_to_two},
      {"AChangeIsFollowed", {{500, 1.0}, {100, 2.0}}, 2.0},
      {"AHugeBatchCountsNoMoreThanASmallOne", {{1, 4.0, 1e3}, {1, 1.0, 1e-3}}, std::cbrt(4.0)},
      {"ABatchThatIsHardlyLongerThanAWakeUpHardlyCounts", {{10, 8.0, 1e-6}}, std::pow(8.0, 0.01)},
      {"ABatchWithoutTimeCountsNothing", {{9, 0.0}}, 1.0},
      {"ANegativeTimeCountsNothing", {{9, -1.0}}, 1.0},
  };
}

TEST(Correction, FollowsTheTable) {
  for (const CorrectionCase& test : Cases()) {
    SCOPED_TRACE(test.name);
    Correction correction;
    for (const Batches& batches : test.batches) {
      for (int i = 0; i < batches.count; ++i) {
        correction.Observe(&kRunner, batches.predicted_seconds,
                           batches.predicted_seconds * batches.ratio, kNow);
      }
    }
    EXPECT_NEAR(correction.Factor(&kRunner, kNow), test.factor, 1e-3 * test.factor);
    EXPECT_EQ(correction.Factor(&kOther, kNow), 1.0) << "runners share a factor";
  }
}

TEST(Correction, CountsNoBatchWithoutPrediction) {
  Correction correction;
  correction.Observe(&kRunner, 0.0, 1.0, kNow);
  correction.Observe(&kRunner, -1.0, 1.0, kNow);
  EXPECT_EQ(correction.Factor(&kRunner, kNow), 1.0);
  correction.Observe(&kRunner, 1.0, 4.0, kNow);
  EXPECT_NEAR(correction.Factor(&kRunner, kNow), 2.0, 1e-9) << "the first batch that counts";
}

// Otherwise a factor that makes the server refuse everything would stay for ever.
TEST(Correction, ForgetsWhileNothingRuns) {
  Correction correction;
  for (int i = 0; i < 200; ++i) correction.Observe(&kRunner, 1.0, 4.0, kNow);
  EXPECT_NEAR(correction.Factor(&kRunner, kNow), 4.0, 1e-6);
  EXPECT_NEAR(correction.Factor(&kRunner, kNow + absl::Seconds(10)), 2.0, 1e-6);
  EXPECT_NEAR(correction.Factor(&kRunner, kNow + absl::Minutes(10)), 1.0, 1e-6);
  EXPECT_NEAR(correction.Factor(&kRunner, kNow - absl::Minutes(10)), 4.0, 1e-6);
  // What is learnt next starts from what is left.
  correction.Observe(&kRunner, 1.0, 2.0, kNow + absl::Seconds(10));
  EXPECT_NEAR(correction.Factor(&kRunner, kNow + absl::Seconds(10)), 2.0, 1e-6);
}

TEST(Correction, KeepsRunnersApart) {
  Correction correction;
  for (int i = 0; i < 200; ++i) {
    correction.Observe(&kRunner, 1.0, 4.0, kNow);
    correction.Observe(&kOther, 1.0, 0.5, kNow);
  }
  EXPECT_NEAR(correction.Factor(&kRunner, kNow), 4.0, 1e-3);
  EXPECT_NEAR(correction.Factor(&kOther, kNow), 0.5, 1e-3);
}

}  // namespace
}  // namespace attend
