// SPDX-License-Identifier: Apache-2.0
#include "core/base/find_least.h"

#include "gtest/gtest.h"

namespace attend {
namespace {

// Measures runs of 3, 2, 1, 2, 3, 2, 1 ... units, and returns how many there were.
int CountRuns(const MeasuredRuns& runs, double unit, double expected_least) {
  constexpr double kTimes[] = {3, 2, 1, 2};
  int count = 0;
  EXPECT_DOUBLE_EQ(FindLeast(runs, [&] { return kTimes[count++ % 4] * unit; }),
                   expected_least * unit);
  return count;
}

TEST(FindLeast, MeasuresShortRunsAsOftenAsItMay) {
  EXPECT_EQ(CountRuns({2, 7, 1.0}, 1e-6, 1), 7);
}

TEST(FindLeast, StopsOnceRunsHaveTakenLongEnough) {
  EXPECT_EQ(CountRuns({2, 7, 6.0}, 1.0, 1), 3);
}

TEST(FindLeast, MeasuresLongRunsTheFewestTimes) {
  EXPECT_EQ(CountRuns({2, 7, 1.0}, 1e6, 2), 2);
}

}  // namespace
}  // namespace attend
