// SPDX-License-Identifier: Apache-2.0
#include "core/simd/prefetch.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "gtest/gtest.h"

namespace attend::internal {
namespace {

const std::vector<PrefetchPolicy> kCandidates = {
    {PrefetchLevel::kFirst, 8192}, {PrefetchLevel::kNone, 8192}, {PrefetchLevel::kSecond, 16384}};

// The choice where candidate i takes times[i][round], in so many seconds each.
PrefetchPolicy Choose(const std::vector<std::vector<double>>& times, double seconds = 1e-6,
                      int rounds = kPrefetchRounds) {
  std::vector<size_t> calls(kCandidates.size());
  const PrefetchPolicy chosen = ChoosePrefetch(kCandidates, [&](const PrefetchPolicy& policy) {
    const size_t i =
        std::find(kCandidates.begin(), kCandidates.end(), policy) - kCandidates.begin();
    return times[i][calls[i]++ % times[i].size()] * seconds;
  });
  for (const size_t count : calls) EXPECT_EQ(count, static_cast<size_t>(rounds));
  return chosen;
}

TEST(ChoosePrefetch, TakesTheFastestCandidate) {
  EXPECT_EQ(Choose({{3}, {1}, {2}}), kCandidates[1]);
  EXPECT_EQ(Choose({{3}, {2}, {1}}), kCandidates[2]);
  EXPECT_EQ(Choose({{1}, {2}, {3}}), kCandidates[0]);
}

TEST(ChoosePrefetch, KeepsAnEarlierCandidateThatIsSlowerByNoMoreThanNoise) {
  EXPECT_EQ(Choose({{1.0}, {0.98}, {0.975}}), kCandidates[0]);
  EXPECT_EQ(Choose({{1.0}, {0.96}, {0.95}}), kCandidates[1]);
}

TEST(ChoosePrefetch, ComparesTheShortestTimesSoThatInterruptionsDoNotCount) {
  EXPECT_EQ(Choose({{9, 9, 1}, {2, 2, 2}, {9, 3, 9}}), kCandidates[0]);
}

TEST(ChoosePrefetch, MeasuresLessOnASlowMachine) {
  EXPECT_EQ(Choose({{3}, {1}, {2}}, 0.4 * kPrefetchSeconds / 6, 3), kCandidates[1]);
  EXPECT_EQ(Choose({{3, 9}, {9, 1}, {2, 9}}, kPrefetchSeconds, 2), kCandidates[1]);
}

TEST(PrefetchPolicy, PrintsLevelAndDistance) {
  EXPECT_EQ(ToString(kCandidates[0]), "first level, 8 KiB ahead");
  EXPECT_EQ(ToString(kCandidates[1]), "none");
  EXPECT_EQ(ToString(kCandidates[2]), "second level, 16 KiB ahead");
}

TEST(TimeColdRead, CallsTheReaderOnceAndLeavesTheMemoryAsItWas) {
  std::vector<std::byte> memory(1000, std::byte{7});
  int calls = 0;
  EXPECT_GE(TimeColdRead(memory.data(), memory.size(), [&] { ++calls; }), 0.0);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(memory, std::vector<std::byte>(1000, std::byte{7}));
}

}  // namespace
}  // namespace attend::internal
