// SPDX-License-Identifier: Apache-2.0
#include "core/batching/fair_queue.h"

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/batching/idle_runner.h"
#include "tests/core/batching/times.h"

namespace attend {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

IdleRunner kRunners[3];
BatchRunner* const kA = &kRunners[0];
BatchRunner* const kB = &kRunners[1];
BatchRunner* const kC = &kRunners[2];

constexpr Priority kHigh = Priority::kHigh;
constexpr Priority kNormal = Priority::kNormal;
constexpr Priority kLow = Priority::kLow;
constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

// An item as tables write it.
struct Row {
  BatchRunner* runner = kA;
  Priority priority = kHigh;
  int64_t tokens = 1;
  double expected = 1.0;                           // milliseconds
  absl::Duration left = absl::InfiniteDuration();  // time until its deadline
  uint32_t caller = 0;
  double batch_expected = 0.0;  // milliseconds
  WorkClass work_class = WorkClass::kShort;
  int64_t bytes = 0;
};

Row OfCaller(uint32_t caller, double expected, Priority priority = kHigh) {
  Row row;
  row.caller = caller;
  row.expected = expected;
  row.priority = priority;
  return row;
}

WorkItem MakeItem(const Row& row, absl::Time now) {
  WorkItem item;
  item.runner = row.runner;
  item.priority = row.priority;
  item.caller = row.caller;
  item.cost.tokens = row.tokens;
  item.cost.bytes = row.bytes;
  item.deadline = now + row.left;
  item.enqueued = now;
  item.work_class = row.work_class;
  item.expected = Ms(row.expected);
  item.batch_expected = Ms(row.batch_expected);
  return item;
}

std::vector<uint64_t> Ids(const std::vector<WorkItem>& items) {
  std::vector<uint64_t> ids;
  for (const WorkItem& item : items) ids.push_back(item.id);
  return ids;
}

// Limits that only the number of requests bounds.
BatchLimits Wide(int64_t max_requests = 100) {
  BatchLimits limits;
  limits.max_requests = max_requests;
  limits.max_tokens = kHuge;
  limits.target = absl::InfiniteDuration();
  return limits;
}

bool Anyone(uint32_t) {
  return true;
}

// A queue and its clock. Items are numbered 1, 2, ... in the order of their arrival.
class Queue {
 public:
  explicit Queue(absl::Duration aging = absl::InfiniteDuration()) : queue(aging) {}

  uint64_t Push(const Row& row) {
    WorkItem item = MakeItem(row, now);
    item.id = next_id_++;
    queue.Push(std::move(item));
    return next_id_ - 1;
  }

  std::vector<WorkItem> Take(const BatchLimits& limits,
                             absl::FunctionRef<bool(uint32_t)> may_run = Anyone,
                             WorkClass work_class = WorkClass::kShort) {
    std::vector<WorkItem> found;
    std::vector<WorkItem> batch = queue.TakeBatch(work_class, limits, now, may_run, found);
    for (const WorkItem& item : found) expired.push_back(item.id);
    return batch;
  }

  // Takes batches of one item until nothing is left.
  std::vector<uint64_t> TakeOneByOne() {
    std::vector<uint64_t> order;
    while (true) {
      const std::vector<WorkItem> batch = Take(Wide(1));
      if (batch.empty()) return order;
      order.push_back(batch.front().id);
    }
  }

  FairQueue queue;
  absl::Time now = kNow;
  std::vector<uint64_t> expired;  // found by TakeBatch

 private:
  uint64_t next_id_ = 1;
};

// How a batch grows.

struct BatchCase {
  std::string name;
  std::vector<Row> queue;
  BatchLimits limits;
  std::vector<uint64_t> run;
  std::vector<uint64_t> expired = {};
};

BatchLimits Tokens(int64_t max_tokens) {
  BatchLimits limits = Wide();
  limits.max_tokens = max_tokens;
  return limits;
}

BatchLimits Target(double milliseconds) {
  BatchLimits limits = Wide();
  limits.target = Ms(milliseconds);
  return limits;
}

std::vector<BatchCase> BatchCases() {
  const absl::Duration past = -absl::Nanoseconds(1);
  BatchLimits tight = Wide(1);
  tight.max_tokens = 8;
  return {
      {"NothingOfNothing", {}, Wide(), {}},
      {"OneItemRunsAlone", {{}}, Wide(), {1}},
      {"ItemsOfOneRunnerRunTogether", {{}, {}, {}}, Wide(), {1, 2, 3}},
      {"OtherRunnersWait", {{kA}, {kB}, {kA}, {kC}}, Wide(), {1, 3}},
      {"TheHeadDecidesTheRunner", {{kB}, {kA}, {kA}, {kA}}, Wide(), {1}},
      {"RequestsAreBounded", {{}, {}, {}}, Wide(2), {1, 2}},
      {"OneRequestPerBatch", {{}, {}}, Wide(1), {1}},
      {"TokensAreBounded", {{kA, kHigh, 4}, {kA, kHigh, 4}, {kA, kHigh, 4}}, Tokens(8), {1, 2}},
      {"TheHeadRunsWhateverItCosts", {{kA, kHigh, 999, 1e9}, {kA}}, tight, {1}},
      {"ASmallerItemDoesNotPassOneThatDoesNotFit",
       {{kA, kHigh, 4}, {kA, kHigh, 6}, {kA, kHigh, 1}},
       Tokens(8),
       {1}},
      {"TokenSumsDoNotOverflow", {{kA, kHigh, 5}, {kA, kHigh, kHuge}}, Wide(), {1}},
      {"LowerPrioritiesJoin", {{kA, kHigh}, {kA, kNormal}, {kA, kLow}}, Wide(), {1, 2, 3}},
      {"HigherPrioritiesComeFirst",
       {{kA, kNormal}, {kA, kHigh}, {kA, kLow}, {kA, kNormal}, {kA, kHigh}},
       Wide(),
       {2, 5, 1, 4, 3}},
      {"NobodyJoinsPastAWaitingItemOfHigherPriority",
       {{kA, kHigh}, {kB, kHigh}, {kA, kHigh}, {kA, kNormal}},
       Wide(),
       {1, 3}},
      {"JoinsPastAWaitingItemOfLowerOrSamePriority",
       {{kA, kHigh}, {kB, kNormal}, {kA, kNormal}, {kA, kLow}},
       Wide(),
       {1, 3}},
      {"NobodyJoinsPastAnItemOfHigherPriorityThatDoesNotFit",
       {{kA, kHigh, 4}, {kA, kHigh, 6}, {kA, kNormal, 1}},
       Tokens(8),
       {1}},
      {"TheExpiredNeverRun",
       {{kA, kHigh, 1, 1.0, past}, {kA}, {kB, kHigh, 1, 1.0, past}, {kA, kHigh, 1, 1.0, past}, {}},
       Wide(),
       {2, 5},
       {1, 3, 4}},
      {"ADeadlineOfNowIsOver", {{kA, kHigh, 1, 1.0, absl::ZeroDuration()}}, Wide(), {}, {1}},
      {"TheExpiredDoNotCount",
       {{kA, kHigh, 8, 1.0, past}, {kA, kHigh, 8, 1.0, absl::Nanoseconds(1)}},
       tight,
       {2},
       {1}},
      {"AnExpiredItemHoldsNobodyBack",
       {{kA, kHigh}, {kB, kHigh, 1, 1.0, past}, {kA, kNormal}},
       Wide(),
       {1, 3},
       {2}},
      {"OtherClassesWait",
       {{}, {kA, kHigh, 1, 1.0, absl::InfiniteDuration(), 0, 0.0, WorkClass::kLong}, {}},
       Wide(),
       {1, 3}},
  };
}

Row Timed(double expected, double batch_expected, int64_t tokens) {
  Row row;
  row.expected = expected;
  row.batch_expected = batch_expected;
  row.tokens = tokens;
  return row;
}

// Batches that are bounded by their expected time; in default limits that are 5 ms, or 10 ms where
// the batch itself takes time and has no more than 64 rows.
std::vector<BatchCase> TimeCases() {
  BatchLimits limits;
  limits.max_requests = 100;
  limits.max_tokens = kHuge;
  const std::vector<Row> thirds(8, Timed(2.0, 0.0, 1));
  return {
      {"TheTargetIsJustReached", std::vector<Row>(8, Timed(2.5, 0.0, 1)), limits, {1, 2}},
      {"TheTargetIsNotExceeded", thirds, limits, {1, 2}},
      {"AnyTargetIsKept", thirds, Target(7.0), {1, 2, 3}},
      {"ALongItemDoesNotJoin", {Timed(1, 0, 1), Timed(9, 0, 1), Timed(1, 0, 1)}, limits, {1}},
      {"NobodyJoinsALongItem", {Timed(6, 0, 1), Timed(0.1, 0, 1)}, limits, {1}},
      {"TheTimeOfTheBatchCounts", std::vector<Row>(8, Timed(1.0, 3.0, 65)), limits, {1, 2}},
      {"ItCountsOnce", std::vector<Row>(8, Timed(1.0, 2.0, 65)), limits, {1, 2, 3}},
      {"FewRowsJoinBeyondTheTarget",
       std::vector<Row>(8, Timed(0.5, 5.0, 20)),
       limits,
       {1, 2, 3}},  // 60 rows
      {"TheLastOfTheFewRowsJoins",
       std::vector<Row>(8, Timed(0.5, 5.0, 16)),
       limits,
       {1, 2, 3, 4}},  // 64 rows
      {"NoRowsJoinBeyondTheMaximalTime",
       std::vector<Row>(8, Timed(2.0, 4.0, 1)),
       limits,
       {1, 2, 3}},  // 10 ms
      {"ManyRowsJoinUpToTheTarget", {Timed(1, 3, 60), Timed(1, 3, 60)}, limits, {1, 2}},
      {"FewRowsDoNotJoinWhereABatchTakesNoTime", {Timed(4, 0, 1), Timed(4, 0, 1)}, limits, {1}},
  };
}

void Check(const std::vector<BatchCase>& cases) {
  for (const BatchCase& test : cases) {
    SCOPED_TRACE(test.name);
    Queue queue;
    for (const Row& row : test.queue) queue.Push(row);
    EXPECT_THAT(Ids(queue.Take(test.limits)), ElementsAreArray(test.run));
    EXPECT_THAT(queue.expired, UnorderedElementsAreArray(test.expired));
    EXPECT_EQ(queue.queue.totals().requests,
              static_cast<int64_t>(test.queue.size() - test.run.size() - test.expired.size()));
  }
}

TEST(FairQueue, FormsBatchesOfWhatMayRunTogether) {
  Check(BatchCases());
}

TEST(FairQueue, LetsItemsJoinABatchWhileItHasTime) {
  Check(TimeCases());
}

TEST(FairQueue, KeepsTheClassesApart) {
  Queue queue;
  Row row;
  queue.Push(row);
  row.work_class = WorkClass::kLong;
  queue.Push(row);
  queue.Push(row);
  EXPECT_TRUE(queue.queue.has(WorkClass::kShort));
  EXPECT_THAT(Ids(queue.Take(Wide(), Anyone, WorkClass::kLong)), ElementsAre(2, 3));
  EXPECT_FALSE(queue.queue.has(WorkClass::kLong));
  EXPECT_THAT(Ids(queue.Take(Wide(), Anyone, WorkClass::kLong)), IsEmpty());
  EXPECT_THAT(Ids(queue.Take(Wide())), ElementsAre(1));
  EXPECT_FALSE(queue.queue.has(WorkClass::kShort));
}

// Fair shares.

TEST(FairQueue, ServesInTheOrderOfArrivalWhatCostsTheSame) {
  Queue queue;
  for (int i = 0; i < 4; ++i) queue.Push(OfCaller(1, 1.0));
  for (int i = 0; i < 2; ++i) queue.Push(OfCaller(2, 1.0));
  EXPECT_THAT(queue.TakeOneByOne(), ElementsAre(1, 5, 2, 6, 3, 4));
}

// Callers with items of different sizes keep the queue full: they share its time.
void ExpectEqualShares(const BatchLimits& limits, const std::vector<BatchRunner*>& runners) {
  constexpr double kExpected[] = {0.3, 1.0, 3.0, 8.0};
  Queue queue;
  const auto push = [&](uint32_t caller) {
    Row row = OfCaller(caller, kExpected[caller]);
    row.runner = runners[caller];
    queue.Push(row);
  };
  for (uint32_t caller = 0; caller < 4; ++caller) {
    for (int i = 0; i < 200; ++i) push(caller);
  }
  absl::Duration served[4];
  absl::Duration total;
  while (total < absl::Seconds(10)) {
    const std::vector<WorkItem> batch = queue.Take(limits);
    ASSERT_FALSE(batch.empty());
    for (const WorkItem& item : batch) {
      served[item.caller] += item.expected;
      total += item.expected;
      push(item.caller);
    }
  }
  for (const absl::Duration& one : served) {
    EXPECT_NEAR(absl::FDivDuration(one, total), 0.25, 0.005);
  }
}

TEST(FairQueue, SharesTheTimeEquallyBetweenCallers) {
  ExpectEqualShares(Wide(1), {kA, kA, kA, kA});
}

TEST(FairQueue, SharesTheTimeEquallyBetweenCallersInOneBatch) {
  ExpectEqualShares(Target(10.0), {kA, kA, kA, kA});
}

TEST(FairQueue, SharesTheTimeEquallyBetweenRunners) {
  ExpectEqualShares(Target(5.0), {kA, kB, kC, kA});
}

// The batch's own time is the head's.
TEST(FairQueue, ChargesTheTimeOfABatchToItsHead) {
  Queue queue;
  Row a = OfCaller(1, 1.0), b = OfCaller(2, 1.0);
  a.batch_expected = 3.0;
  b.runner = kB;
  for (int i = 0; i < 3; ++i) queue.Push(a);  // 1, 2, 3
  for (int i = 0; i < 6; ++i) queue.Push(b);  // 4 to 9
  EXPECT_THAT(queue.TakeOneByOne(), ElementsAre(1, 4, 5, 6, 7, 2, 8, 9, 3));
}

TEST(FairQueue, LetsACallerThatWasAwaySaveNoTime) {
  Queue queue;
  for (int i = 0; i < 100; ++i) queue.Push(OfCaller(1, 10.0));
  for (int i = 0; i < 50; ++i) queue.Take(Wide(1));
  for (int i = 0; i < 10; ++i) queue.Push(OfCaller(2, 10.0));
  int of_first = 0;
  for (int i = 0; i < 10; ++i) of_first += queue.Take(Wide(1)).front().caller == 1;
  EXPECT_EQ(of_first, 5);
}

// A caller that sends the next item some time after each answer has an empty flow meanwhile.
TEST(FairQueue, LetsACallerWithoutBacklogGetItsShareAndNoMore) {
  for (const int pause : {0, 1, 5}) {
    SCOPED_TRACE(testing::Message() << "batches of others before its next item: " << pause);
    Queue queue;
    for (int i = 0; i < 1000; ++i) queue.Push(OfCaller(1, 1.0));
    absl::Duration served[3];
    int until_push = 0;
    for (int i = 0; i < 500; ++i) {
      if (until_push-- == 0) queue.Push(OfCaller(2, 10.0));
      const std::vector<WorkItem> batch = queue.Take(Wide(1));
      served[batch.front().caller] += batch.front().expected;
      if (batch.front().caller == 2) until_push = pause;
    }
    EXPECT_NEAR(absl::FDivDuration(served[2], served[1]), 1.0, 0.05);
  }
}

TEST(FairQueue, ForgetsWhoWasServedWhenToldSo) {
  for (const bool forget : {false, true}) {
    Queue queue;
    queue.Push(OfCaller(1, 100.0));
    queue.Take(Wide());
    if (forget) queue.queue.ForgetIdleFlows();
    queue.Push(OfCaller(1, 1.0));
    queue.Push(OfCaller(2, 1.0));
    EXPECT_EQ(queue.Take(Wide(1)).front().caller, forget ? 1u : 2u);
  }
}

TEST(FairQueue, RemembersTheFlowsThatWaitWhenToldToForget) {
  Queue queue;
  for (int i = 0; i < 2; ++i) queue.Push(OfCaller(1, 100.0));
  queue.Take(Wide(1));
  queue.queue.ForgetIdleFlows();
  queue.Push(OfCaller(2, 1.0));
  EXPECT_EQ(queue.Take(Wide(1)).front().caller, 2u);
  EXPECT_EQ(queue.Take(Wide(1)).front().caller, 1u);
}

TEST(FairQueue, PassesOverCallersThatMayNotRun) {
  Queue queue;
  queue.Push(OfCaller(1, 1.0));           // 1
  queue.Push(OfCaller(2, 1.0, kNormal));  // 2
  queue.Push(OfCaller(1, 1.0));           // 3
  queue.Push(OfCaller(3, 1.0, kLow));     // 4
  EXPECT_THAT(Ids(queue.Take(Wide(), [](uint32_t) { return false; })), IsEmpty());
  EXPECT_THAT(Ids(queue.Take(Wide(), [](uint32_t caller) { return caller != 1; })),
              ElementsAre(2, 4))
      << "an item that may not run holds nobody back";
  EXPECT_THAT(Ids(queue.Take(Wide())), ElementsAre(1, 3));
}

// Aging.

TEST(FairQueue, ServesAnItemThatHasWaitedAsTheNextHigherPriority) {
  const struct {
    std::string name;
    Priority old, young;
    absl::Duration wait;
    std::vector<uint64_t> order;
  } kCases[] = {
      {"PrioritiesAreStrictAtFirst", kNormal, kHigh, Ms(999), {2, 1}},
      {"AnOldNormalItemIsServedAsHigh", kNormal, kHigh, Ms(1000), {1, 2}},
      {"AnOldLowItemIsServedAsNormal", kLow, kNormal, Ms(1000), {1, 2}},
      {"AnOldLowItemIsNotServedAsHighYet", kLow, kHigh, Ms(1999), {2, 1}},
      {"HighIsTheHighest", kHigh, kHigh, absl::Hours(1), {1, 2}},
  };
  for (const auto& test : kCases) {
    SCOPED_TRACE(test.name);
    Queue queue(absl::Seconds(1));
    Row row = OfCaller(1, 1.0, test.old);
    queue.Push(row);
    queue.now += test.wait;
    row = OfCaller(2, 1.0, test.young);
    queue.Push(row);
    EXPECT_THAT(queue.TakeOneByOne(), ElementsAreArray(test.order));
  }
}

TEST(FairQueue, PromotesALowItemTwice) {
  Queue queue(absl::Seconds(1));
  queue.Push(OfCaller(1, 1.0, kLow));
  for (int second = 0; second < 2; ++second) {
    queue.Push(OfCaller(2, 1.0));
    EXPECT_EQ(queue.Take(Wide(1)).front().caller, 2u);
    queue.now += absl::Seconds(1);
  }
  queue.Push(OfCaller(2, 1.0));
  EXPECT_EQ(queue.Take(Wide(1)).front().caller, 1u);
}

// Nothing was taken meanwhile, so that nothing was promoted step by step.
TEST(FairQueue, ServesALowItemAsHighOnceItHasWaitedForTwoTimes) {
  Queue queue(absl::Seconds(1));
  queue.Push(OfCaller(1, 1.0, kLow));
  queue.now += absl::Seconds(2);
  queue.Push(OfCaller(2, 1.0));
  EXPECT_THAT(queue.TakeOneByOne(), ElementsAre(1, 2));
}

// An older item of the same caller, which was low, waits for its second promotion.
TEST(FairQueue, PromotesAnItemBehindOneThatHasToWaitLonger) {
  Queue queue(absl::Seconds(1));
  queue.Push(OfCaller(1, 1.0, kLow));  // 1
  queue.now += Ms(500);
  queue.Push(OfCaller(1, 1.0, kNormal));  // 2
  queue.Push(OfCaller(2, 1.0, kHigh));    // 3
  queue.now += Ms(500);
  EXPECT_THAT(Ids(queue.Take(Wide(1))), ElementsAre(3));  // promotes 1
  queue.now += Ms(500);
  queue.Push(OfCaller(2, 1.0, kHigh));  // 4
  EXPECT_THAT(queue.TakeOneByOne(), ElementsAre(2, 4, 1));
}

TEST(FairQueue, KeepsTheOrderOfArrivalAmongPromotedItems) {
  Queue queue(absl::Seconds(1));
  for (int i = 0; i < 3; ++i) queue.Push(OfCaller(1, 1.0, kNormal));  // 1, 2, 3
  queue.now += Ms(500);
  queue.Push(OfCaller(1, 1.0, kHigh));    // 4
  queue.Push(OfCaller(1, 1.0, kNormal));  // 5
  queue.now += Ms(600);
  queue.Push(OfCaller(1, 1.0, kHigh));  // 6
  EXPECT_THAT(queue.TakeOneByOne(), ElementsAre(1, 2, 3, 4, 6, 5));
}

// The younger item seems to have waited for longer.
TEST(FairQueue, KeepsTheOrderOfArrivalThoughTheClockWentBack) {
  for (const bool promoted_before : {false, true}) {
    Queue queue(absl::Seconds(1));
    const uint64_t older = queue.Push(OfCaller(1, 1.0, kLow));
    if (promoted_before) {
      queue.now += Ms(1500);
      queue.Push(OfCaller(2, 1.0));
      EXPECT_EQ(queue.Take(Wide(1)).front().caller, 2u);
    }
    queue.now = kNow - absl::Seconds(5);
    const uint64_t younger = queue.Push(OfCaller(1, 1.0, kLow));
    queue.now = promoted_before ? kNow - absl::Seconds(2) : kNow + Ms(1200);
    EXPECT_THAT(queue.TakeOneByOne(), ElementsAre(older, younger));
  }
}

TEST(FairQueue, KeepsPromotedItemsOfCallersAndRunnersApart) {
  Queue queue(absl::Seconds(1));
  Row b = OfCaller(1, 1.0, kNormal);
  b.runner = kB;
  queue.Push(OfCaller(1, 1.0, kNormal));  // 1
  queue.Push(b);                          // 2
  queue.Push(OfCaller(1, 1.0, kNormal));  // 3
  queue.Push(OfCaller(2, 1.0, kNormal));  // 4
  queue.now += absl::Seconds(1);
  queue.Push(OfCaller(3, 1.0, kHigh));  // 5
  EXPECT_THAT(Ids(queue.Take(Wide(3))), ElementsAre(1, 4, 5)) << "each caller in turn";
  EXPECT_THAT(queue.TakeOneByOne(), ElementsAre(2, 3));
}

TEST(FairQueue, SharesTheTimeOfAPriorityWithPromotedItems) {
  Queue queue(absl::Seconds(1));
  for (int i = 0; i < 4; ++i) queue.Push(OfCaller(1, 1.0, kNormal));
  queue.now += absl::Seconds(1);
  for (int i = 0; i < 4; ++i) queue.Push(OfCaller(2, 1.0, kHigh));
  EXPECT_THAT(queue.TakeOneByOne(), ElementsAre(1, 5, 2, 6, 3, 7, 4, 8));
}

// Totals, times and removal.

TEST(FairQueue, SumsWhatWaits) {
  Queue queue(absl::Seconds(1));
  EXPECT_TRUE(queue.queue.empty());
  Row row;
  for (const Priority priority : {kHigh, kNormal, kLow}) {
    row.priority = priority;
    row.expected += 1.0;
    row.bytes += 10;
    queue.Push(row);
  }
  const auto expect = [](const FairQueue::Totals& totals, int64_t requests, int64_t bytes,
                         absl::Duration expected) {
    EXPECT_EQ(totals.requests, requests);
    EXPECT_EQ(totals.bytes, bytes);
    EXPECT_EQ(totals.expected, expected);
  };
  expect(queue.queue.totals(), 3, 60, Ms(9));
  expect(queue.queue.TotalsBelow(kHigh), 2, 50, Ms(7));
  expect(queue.queue.TotalsBelow(kNormal), 1, 30, Ms(4));
  expect(queue.queue.TotalsBelow(kLow), 0, 0, Ms(0));
  queue.now += absl::Seconds(1);
  queue.Take(Wide(1));  // promotes the others
  expect(queue.queue.totals(), 2, 50, Ms(7));
  expect(queue.queue.TotalsBelow(kHigh), 1, 30, Ms(4));
  expect(queue.queue.TotalsBelow(kNormal), 0, 0, Ms(0));
  queue.queue.TakeById(2);
  expect(queue.queue.totals(), 1, 30, Ms(4));
  queue.queue.TakeAll();
  expect(queue.queue.totals(), 0, 0, Ms(0));
  EXPECT_TRUE(queue.queue.empty());
}

TEST(FairQueue, TakesById) {
  Queue queue;
  for (int i = 0; i < 3; ++i) queue.Push({});
  queue.Push({kB});
  EXPECT_EQ(queue.queue.TakeById(2)->id, 2u);
  EXPECT_FALSE(queue.queue.TakeById(2).has_value());
  EXPECT_FALSE(queue.queue.TakeById(5).has_value());
  EXPECT_EQ(queue.queue.TakeById(4)->id, 4u);
  EXPECT_THAT(Ids(queue.Take(Wide())), ElementsAre(1, 3));
}

TEST(FairQueue, TakesTheExpiredFromAnywhere) {
  Queue queue;
  Row row;
  for (const int64_t seconds : {2, 1, 3, 1, 2}) {
    row.left = absl::Seconds(seconds);
    row.runner = seconds == 2 ? kB : kA;
    queue.Push(row);
  }
  queue.Push({});
  EXPECT_THAT(Ids(queue.queue.TakeExpired(kNow + Ms(999))), IsEmpty());
  EXPECT_THAT(Ids(queue.queue.TakeExpired(kNow + Ms(1000))), UnorderedElementsAre(2, 4));
  EXPECT_THAT(Ids(queue.queue.TakeExpired(kNow + Ms(2500))), UnorderedElementsAre(1, 5));
  EXPECT_THAT(Ids(queue.queue.TakeAll()), UnorderedElementsAre(3, 6));
  EXPECT_THAT(Ids(queue.queue.TakeAll()), IsEmpty());
}

TEST(FairQueue, KnowsTheNextDeadlineAndTheOldestArrival) {
  Queue queue;
  EXPECT_EQ(queue.queue.NextDeadline(), absl::InfiniteFuture());
  EXPECT_EQ(queue.queue.OldestArrival(), absl::InfiniteFuture());
  Row row;
  for (const int64_t seconds : {5, 3, 9}) {
    row.left = absl::Seconds(seconds);
    row.priority = seconds == 3 ? kLow : kHigh;
    queue.Push(row);
    queue.now += Ms(10);
  }
  EXPECT_EQ(queue.queue.NextDeadline(), kNow + Ms(10) + absl::Seconds(3));
  EXPECT_EQ(queue.queue.OldestArrival(), kNow);
  queue.queue.TakeById(1);
  EXPECT_EQ(queue.queue.OldestArrival(), kNow + Ms(10));
  queue.queue.TakeById(2);
  EXPECT_EQ(queue.queue.NextDeadline(), kNow + Ms(20) + absl::Seconds(9));
}

// Who gives up room, and what is ahead.

struct ArrivalCase {
  std::string name;
  std::vector<Row> queue;
  Row arrival;
  uint64_t victim;  // 0: none
};

TEST(FairQueue, FindsWhoGivesUpItsRoom) {
  const std::vector<ArrivalCase> cases = {
      {"AnEmptyQueueHasNoVictim", {}, OfCaller(1, 1.0), 0},
      {"TheNewestOfThoseServedLast",
       {OfCaller(2, 1, kLow), OfCaller(1, 1, kLow), OfCaller(2, 1, kNormal)},
       OfCaller(1, 1.0, kHigh),
       2},
      {"TheNextPriorityWhereNobodyIsLow",
       {OfCaller(2, 1, kNormal), OfCaller(2, 1, kNormal), OfCaller(2, 1, kHigh)},
       OfCaller(1, 1.0, kHigh),
       2},
      {"ItsCallersShareDoesNotMatter", {OfCaller(1, 1, kLow)}, OfCaller(1, 99.0, kHigh), 1},
      {"NobodyOfAHigherPriority", {OfCaller(2, 99, kHigh)}, OfCaller(1, 1.0, kLow), 0},
      {"TheNewestOfTheCallerWithTheMost",
       {OfCaller(2, 2), OfCaller(3, 1), OfCaller(2, 2), OfCaller(3, 1)},
       OfCaller(1, 1.0),
       3},
      {"TimeCountsAndNotTheNumber",
       {OfCaller(2, 1), OfCaller(2, 1), OfCaller(2, 1), OfCaller(3, 9)},
       OfCaller(1, 1.0),
       4},
      {"NobodyIfTheArrivalsCallerWouldHaveTheMost",
       {OfCaller(2, 3), OfCaller(1, 2)},
       OfCaller(1, 2.0),
       0},
      {"NobodyIfBothWouldHaveTheSame", {OfCaller(2, 3), OfCaller(1, 2)}, OfCaller(1, 1.0), 0},
      {"SomebodyIfTheOtherWouldStillHaveMore",
       {OfCaller(2, 3), OfCaller(1, 2)},
       OfCaller(1, 0.9),
       1},
      {"AnItemOfTheSamePriorityGoesAndNotAHigherOne",
       {OfCaller(2, 5, kLow), OfCaller(2, 5, kHigh)},
       OfCaller(1, 1.0, kLow),
       1},
  };
  for (const ArrivalCase& test : cases) {
    SCOPED_TRACE(test.name);
    Queue queue;
    for (const Row& row : test.queue) queue.Push(row);
    const WorkItem* victim = queue.queue.FindVictim(MakeItem(test.arrival, queue.now));
    EXPECT_EQ(victim == nullptr ? 0 : victim->id, test.victim);
  }
}

TEST(FairQueue, CountsTheTimeOfWhatIsServedBeforeAnArrival) {
  const struct {
    std::string name;
    std::vector<Row> queue;
    Row arrival;
    double ahead;
  } kCases[] = {
      {"NothingInAnEmptyQueue", {}, OfCaller(1, 1), 0.0},
      {"ItsOwnFlow", {OfCaller(1, 2), OfCaller(1, 3)}, OfCaller(1, 1), 5.0},
      {"HigherPriorities", {OfCaller(2, 2), OfCaller(3, 30)}, OfCaller(1, 1, kLow), 32.0},
      {"NotLowerOnes", {OfCaller(2, 2, kLow), OfCaller(1, 3, kNormal)}, OfCaller(1, 1), 0.0},
      {"OthersAsMuchAsItself", {OfCaller(2, 9), OfCaller(3, 9)}, OfCaller(1, 1), 2.0},
      {"OthersAsMuchAsItsFlow", {OfCaller(2, 9), OfCaller(1, 3)}, OfCaller(1, 1), 7.0},
      {"OthersNoMoreThanTheyHave", {OfCaller(2, 2), OfCaller(1, 3)}, OfCaller(1, 1), 5.0},
      {"NotTheOtherClass",
       {{kA, kHigh, 1, 5.0, absl::InfiniteDuration(), 1, 0.0, WorkClass::kLong}},
       OfCaller(1, 1),
       0.0},
  };
  for (const auto& test : kCases) {
    SCOPED_TRACE(test.name);
    Queue queue;
    for (const Row& row : test.queue) queue.Push(row);
    const absl::Duration ahead = queue.queue.ExpectedAhead(MakeItem(test.arrival, queue.now));
    EXPECT_EQ(ahead, Ms(test.ahead));
  }
}

// Random use, beside a plain list of what must be in the queue.
class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  void Step() {
    if (Draw(0, 2) > 0 || items_.size() < 2) {
      Push();
    } else if (Draw(0, 5) == 0) {
      const auto item = std::next(items_.begin(), Draw(0, static_cast<int>(items_.size()) - 1));
      ASSERT_TRUE(queue_.queue.TakeById(item->first).has_value());
      items_.erase(item);
    } else {
      TakeBatch();
    }
    int64_t bytes = 0;
    for (const auto& [id, row] : items_) bytes += row.bytes;
    ASSERT_EQ(queue_.queue.totals().requests, static_cast<int64_t>(items_.size()));
    ASSERT_EQ(queue_.queue.totals().bytes, bytes);
  }

  void TakeAll() {
    for (const WorkItem& item : queue_.queue.TakeAll()) ASSERT_EQ(items_.erase(item.id), 1u);
    ASSERT_TRUE(items_.empty());
  }

 private:
  int Draw(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  void Push() {
    Row row;
    row.runner = &kRunners[Draw(0, 2)];
    row.priority = static_cast<Priority>(Draw(0, 2));
    row.tokens = Draw(1, 40);
    row.expected = 0.1 * Draw(1, 60);
    row.caller = static_cast<uint32_t>(Draw(0, 2));
    row.work_class = static_cast<WorkClass>(Draw(0, 1));
    row.bytes = Draw(0, 1000);
    items_[queue_.Push(row)] = row;
  }

  void TakeBatch() {
    const auto work_class = static_cast<WorkClass>(Draw(0, 1));
    const auto refused = static_cast<uint32_t>(Draw(0, 5));  // from 3 on: nobody
    const auto may_run = [refused](uint32_t caller) { return caller != refused; };
    BatchLimits limits;
    limits.max_requests = Draw(1, 8);
    limits.max_tokens = Draw(1, 150);
    const std::vector<WorkItem> batch = queue_.Take(limits, may_run, work_class);
    Priority last = kHigh;
    absl::Duration expected;
    int64_t tokens = 0;
    for (const WorkItem& item : batch) {
      ASSERT_EQ(items_.count(item.id), 1u) << "taken twice";
      ExpectFirstOfItsFlow(item);
      items_.erase(item.id);
      ASSERT_EQ(item.work_class, work_class);
      ASSERT_EQ(item.runner, batch.front().runner);
      ASSERT_NE(item.caller, refused);
      ASSERT_GE(item.priority, last);
      last = item.priority;
      expected += item.expected;
      tokens += item.cost.tokens;
    }
    ASSERT_LE(static_cast<int64_t>(batch.size()), limits.max_requests);
    if (batch.size() > 1) {
      ASSERT_LE(tokens, limits.max_tokens);
      ASSERT_LE(expected, limits.target);
    }
    for (const auto& [id, row] : items_) {
      if (row.work_class != work_class || row.caller == refused) continue;
      ASSERT_FALSE(batch.empty()) << "nothing runs though " << id << " may";
      ASSERT_GE(row.priority, last) << "joined past " << id;
    }
  }

  void ExpectFirstOfItsFlow(const WorkItem& item) const {
    for (const auto& [id, row] : items_) {
      if (id >= item.id) return;
      ASSERT_FALSE(row.work_class == item.work_class && row.priority == item.priority &&
                   row.caller == item.caller && row.runner == item.runner)
          << item.id << " passed " << id;
    }
  }

  std::mt19937 random_;
  Queue queue_;
  std::map<uint64_t, Row> items_;
};

TEST(FairQueue, KeepsItsRulesUnderRandomUse) {
  constexpr unsigned kSeed = 20240611;
  for (unsigned round = 0; round < 20; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed + round);
    Model model(kSeed + round);
    for (int step = 0; step < 1000 && !testing::Test::HasFatalFailure(); ++step) model.Step();
    model.TakeAll();
  }
}

}  // namespace
}  // namespace attend
