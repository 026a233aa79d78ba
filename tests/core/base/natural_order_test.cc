// SPDX-License-Identifier: Apache-2.0
#include "core/base/natural_order.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::ElementsAreArray;

// In this order.
const std::vector<std::string> kNames = {"",
                                         "m",
                                         "m-1",
                                         "m/0",
                                         "m/0/cross",
                                         "m/01",
                                         "m/1",
                                         "m/1/cross",
                                         "m/2",
                                         "m/10",
                                         "m/10a2",
                                         "m/10a10",
                                         "m/99999999999999999999",
                                         "m/100000000000000000000",
                                         "m/a",
                                         "m1",
                                         "n",
                                         "\xff"};

TEST(NaturalOrder, PutsTwoBeforeTen) {
  std::vector<std::string> names = kNames;
  constexpr uint32_t kSeed = 5;
  std::mt19937 random(kSeed);
  for (int round = 0; round < 100; ++round) {
    std::shuffle(names.begin(), names.end(), random);
    std::sort(names.begin(), names.end(), NaturalOrder());
    EXPECT_THAT(names, ElementsAreArray(kNames));
  }
}

TEST(NaturalOrder, TakesOnlyEqualNamesAsEquivalent) {
  const NaturalOrder before;
  for (size_t i = 0; i < kNames.size(); ++i) {
    for (size_t j = 0; j < kNames.size(); ++j) {
      EXPECT_EQ(before(kNames[i], kNames[j]), i < j) << kNames[i] << " and " << kNames[j];
    }
  }
}

}  // namespace
}  // namespace attend
