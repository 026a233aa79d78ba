// SPDX-License-Identifier: Apache-2.0
#include "core/batching/policy.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

class IdleRunner final : public BatchRunner {
  bool Run(int, const std::atomic<bool>&) override { return true; }
};

IdleRunner runners[3];
BatchRunner* const kA = &runners[0];
BatchRunner* const kB = &runners[1];
BatchRunner* const kC = &runners[2];
const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);

struct Row {
  BatchRunner* runner = kA;
  uint32_t priority = 0;
  int64_t tokens = 1;
  double seconds = 1.0;
  absl::Duration left = absl::InfiniteDuration();  // time until its deadline
};

struct Case {
  std::string name;
  std::vector<Row> queue;
  BatchLimits limits;
  std::vector<size_t> run;
  std::vector<size_t> expired;
};

constexpr BatchLimits kWide{100, 1000, 1e9};

std::vector<Case> Cases() {
  const absl::Duration past = -absl::Nanoseconds(1);
  return {
      {"NothingOfNothing", {}, kWide, {}, {}},
      {"OneItemRunsAlone", {{}}, kWide, {0}, {}},
      {"ItemsOfOneGroupRunTogether", {{}, {}, {}}, kWide, {0, 1, 2}, {}},
      {"OtherGroupsWait", {{kA}, {kB}, {kA}, {kC}}, kWide, {0, 2}, {}},
      {"TheHeadDecidesTheGroup", {{kB}, {kA}, {kA}, {kA}}, kWide, {0}, {}},
      {"RequestsAreBounded", {{}, {}, {}}, {2, 1000, 1e9}, {0, 1}, {}},
      {"OneRequestABatch", {{}, {}}, {1, 1000, 1e9}, {0}, {}},
      {"TokensAreBounded", {{kA, 0, 4}, {kA, 0, 4}, {kA, 0, 4}}, {9, 8, 1e9}, {0, 1}, {}},
      {"SecondsAreBounded",
       {{kA, 0, 40, 5.0}, {kA, 0, 40, 5.0}, {kA, 0, 40, 5.0}},
       {9, 1000, 14.0},
       {0, 1},
       {}},
      {"FewTokensMayTakeLonger",
       {{kA, 0, 30, 5.0}, {kA, 0, 30, 50.0}, {kA, 0, 4, 50.0}, {kA, 0, 1, 1.0}},
       {9, 1000, 8.0},
       {0, 1, 2},
       {}},
      {"ManyTokensMayJoinInTime",
       {{kA, 0, 30, 5.0}, {kA, 0, 300, 3.0}, {kA, 0, 1, 0.1}},
       {9, 1000, 8.0},
       {0, 1},
       {}},
      {"FewTokensAreBoundedByTheMost",
       {{kA, 0, 4, 5.0}, {kA, 0, 4, 5.0}, {kA, 0, 4, 5.0}},
       {9, 8, 1.0},
       {0, 1},
       {}},
      {"TheHeadRunsWhateverItCosts", {{kA, 0, 999, 1e20}, {kA}}, {9, 8, 8.0}, {0}, {}},
      {"ASmallerItemDoesNotPassOneThatDoesNotFit",
       {{kA, 0, 4}, {kA, 0, 6}, {kA, 0, 1}},
       {9, 8, 1e9},
       {0},
       {}},
      {"TokenSumsDoNotOverflow",
       {{kA, 0, 5}, {kA, 0, std::numeric_limits<int64_t>::max()}},
       {9, std::numeric_limits<int64_t>::max(), 1e9},
       {0},
       {}},
      {"LowerPriorityJoinsItsGroup", {{kA, 0}, {kA, 1}, {kA, 2}}, kWide, {0, 1, 2}, {}},
      {"NobodyJoinsPastAWaitingItemOfHigherPriority",
       {{kA, 0}, {kB, 0}, {kA, 0}, {kA, 1}},
       kWide,
       {0, 2},
       {}},
      {"JoinsPastAWaitingItemOfLowerOrSamePriority",
       {{kA, 0}, {kB, 1}, {kA, 1}, {kA, 2}},
       kWide,
       {0, 2},
       {}},
      {"TheExpiredNeverRun",
       {{kA, 0, 1, 1.0, past}, {kA}, {kB, 0, 1, 1.0, past}, {kA, 0, 1, 1.0, past}, {kA}},
       kWide,
       {1, 4},
       {0, 2, 3}},
      {"ADeadlineOfNowIsOver", {{kA, 0, 1, 1.0, absl::ZeroDuration()}}, kWide, {}, {0}},
      {"TheExpiredDoNotCount",
       {{kA, 0, 8, 1.0, past}, {kA, 0, 8, 1.0, absl::Nanoseconds(1)}},
       {1, 8, 1e9},
       {1},
       {0}},
      {"AnExpiredItemHoldsNobodyBack",
       {{kA, 0}, {kB, 0, 1, 1.0, past}, {kA, 1}},
       kWide,
       {0, 2},
       {1}},
  };
}

TEST(DecideBatch, FollowsTheTable) {
  for (const Case& test : Cases()) {
    SCOPED_TRACE(test.name);
    std::vector<WorkItem> queue;
    for (const Row& row : test.queue) {
      WorkItem item;
      item.runner = row.runner;
      item.priority = row.priority;
      item.cost = {row.seconds, 1e30, row.tokens, 0};
      item.deadline = kNow + row.left;
      queue.push_back(std::move(item));
    }
    const BatchDecision decision = DecideBatch(queue, test.limits, kNow);
    EXPECT_EQ(decision.run, test.run);
    EXPECT_EQ(decision.expired, test.expired);
  }
}

}  // namespace
}  // namespace attend
