// SPDX-License-Identifier: Apache-2.0
#include "server/net/upload_share.h"

#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// The descriptors of the connections that have to end.
std::vector<int> Ended(const std::vector<Upload>& uploads, int64_t max_bytes) {
  std::vector<int> ended;
  for (const Upload& upload : ChooseUploadsToEnd(uploads, max_bytes)) {
    ended.push_back(upload.connection);
  }
  return ended;
}

TEST(UploadShareTest, EndsNothingWithinTheLimit) {
  EXPECT_THAT(Ended({}, 0), IsEmpty());
  EXPECT_THAT(Ended({{7, "a", 60}, {8, "b", 40}}, 100), IsEmpty());
}

TEST(UploadShareTest, EndsTheLargestOfTheCallerThatHoldsTheMost) {
  // "b" has the largest connection, but "a" holds more.
  EXPECT_THAT(Ended({{7, "a", 30}, {8, "b", 45}, {9, "a", 31}}, 100), ElementsAre(9));
}

TEST(UploadShareTest, EndsMoreUntilTheRestIsWithinTheLimit) {
  EXPECT_THAT(Ended({{6, "a", 50}, {7, "b", 90}, {8, "a", 60}, {9, "b", 5}}, 60),
              ElementsAre(8, 7));
}

TEST(UploadShareTest, ACallerThatHoldsNoMoreThanAnEqualShareLosesNothing) {
  constexpr uint32_t kSeed = 811;
  std::mt19937 random(kSeed);
  const std::vector<std::string> names = {"a", "b", "c", "d", "e"};
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", kSeed, ", round ", round));
    std::vector<Upload> uploads;
    absl::flat_hash_map<std::string, int64_t> held;
    const auto count = static_cast<int>(random() % 20);
    for (int connection = 0; connection < count; ++connection) {
      const std::string& name = names[random() % names.size()];
      uploads.push_back({connection, name, static_cast<int64_t>(random() % 100 + 1)});
      held[name] += uploads.back().bytes;
    }
    const int64_t limit = random() % 500;
    const std::vector<Upload> ended = ChooseUploadsToEnd(uploads, limit);
    absl::flat_hash_set<int> distinct;
    int64_t left = 0;
    for (const Upload& upload : uploads) left += upload.bytes;
    for (const Upload& upload : ended) {
      ASSERT_TRUE(distinct.insert(upload.connection).second);
      left -= upload.bytes;
      const auto callers = static_cast<int64_t>(held.size());
      ASSERT_GT(held[std::string(upload.caller)] * callers, limit);
    }
    ASSERT_LE(left, limit);
  }
}

}  // namespace
}  // namespace attend
