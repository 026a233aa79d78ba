// SPDX-License-Identifier: Apache-2.0
#include "server/net/upload_share.h"

#include <numeric>
#include <random>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(UploadShareTest, EndsNothingWithinTheLimit) {
  EXPECT_THAT(ChooseUploadsToEnd({}, 0), IsEmpty());
  EXPECT_THAT(ChooseUploadsToEnd({{"a", 60}, {"b", 40}}, 100), IsEmpty());
}

TEST(UploadShareTest, EndsTheLargestOfTheCallerThatHoldsTheMost) {
  // "b" has the largest connection, but "a" holds more.
  EXPECT_THAT(ChooseUploadsToEnd({{"a", 30}, {"b", 45}, {"a", 31}}, 100), ElementsAre(2));
}

TEST(UploadShareTest, EndsMoreUntilTheRestIsWithinTheLimit) {
  EXPECT_THAT(ChooseUploadsToEnd({{"a", 50}, {"b", 90}, {"a", 60}, {"b", 5}}, 60),
              ElementsAre(2, 1));
}

TEST(UploadShareTest, ACallerThatHoldsNoMoreThanAnEqualShareLosesNothing) {
  constexpr uint32_t kSeed = 811;
  std::mt19937 random(kSeed);
  const std::vector<std::string> names = {"a", "b", "c", "d", "e"};
  for (int round = 0; round < 2000; ++round) {
    std::vector<Upload> uploads;
    absl::flat_hash_map<std::string, int64_t> held;
    for (size_t i = random() % 20; i > 0; --i) {
      const std::string& name = names[random() % names.size()];
      uploads.push_back({name, static_cast<int64_t>(random() % 100 + 1)});
      held[name] += uploads.back().bytes;
    }
    const int64_t limit = random() % 500;
    const std::vector<size_t> ended = ChooseUploadsToEnd(uploads, limit);
    const absl::flat_hash_set<size_t> distinct(ended.begin(), ended.end());
    ASSERT_EQ(distinct.size(), ended.size());
    int64_t left = 0;
    for (size_t i = 0; i < uploads.size(); ++i) {
      if (!distinct.contains(i)) left += uploads[i].bytes;
    }
    ASSERT_LE(left, limit) << "seed " << kSeed << ", round " << round;
    for (const size_t i : ended) {
      const auto callers = static_cast<int64_t>(held.size());
      ASSERT_GT(held[std::string(uploads[i].caller)] * callers, limit)
          << "seed " << kSeed << ", round " << round;
    }
  }
}

}  // namespace
}  // namespace attend
