// SPDX-License-Identifier: Apache-2.0
#include "client/cli/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace attend::cli {
namespace {

TEST(HistogramTest, IsZeroWithoutSamples) {
  Histogram histogram;
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.mean(), absl::ZeroDuration());
  EXPECT_EQ(histogram.Percentile(0.5), absl::ZeroDuration());
}

TEST(HistogramTest, SmallValuesAreExact) {
  Histogram histogram;
  for (int ns = 1; ns <= 100; ++ns) histogram.Add(absl::Nanoseconds(ns));
  EXPECT_EQ(histogram.Percentile(0), absl::Nanoseconds(1));
  EXPECT_EQ(histogram.Percentile(0.5), absl::Nanoseconds(50));
  EXPECT_EQ(histogram.Percentile(0.99), absl::Nanoseconds(99));
  EXPECT_EQ(histogram.Percentile(1), absl::Nanoseconds(100));
  EXPECT_EQ(histogram.max(), absl::Nanoseconds(100));
}

TEST(HistogramTest, PercentilesAreWithinTheirBound) {
  const unsigned seed = 7;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> latency(15, 2);  // around 3 ms, widely spread
  Histogram histogram;
  std::vector<double> exact;
  double sum = 0;
  for (int i = 0; i < 100001; ++i) {
    exact.push_back(static_cast<double>(static_cast<int64_t>(latency(random))));
    histogram.Add(absl::Nanoseconds(static_cast<int64_t>(exact.back())));
    sum += exact.back();
  }
  std::sort(exact.begin(), exact.end());
  for (const double share : {0.5, 0.9, 0.99, 0.999}) {
    const double want = exact[static_cast<size_t>(share * 100000)];
    const double got = absl::ToDoubleNanoseconds(histogram.Percentile(share));
    EXPECT_NEAR(got, want, want / 128 + 1) << share;
  }
  EXPECT_EQ(histogram.max(), absl::Nanoseconds(static_cast<int64_t>(exact.back())));
  EXPECT_NEAR(absl::ToDoubleNanoseconds(histogram.mean()), sum / 100001, 1);
}

TEST(HistogramTest, OutOfRangeCountsAsTheEnds) {
  Histogram histogram;
  histogram.Add(absl::Nanoseconds(-5));
  histogram.Add(absl::Hours(1000));
  histogram.Add(absl::InfiniteDuration());
  EXPECT_EQ(histogram.count(), 3);
  EXPECT_EQ(histogram.Percentile(0), absl::ZeroDuration());
  EXPECT_EQ(histogram.max(), absl::Nanoseconds((int64_t{1} << 44) - 1));
}

}  // namespace
}  // namespace attend::cli
