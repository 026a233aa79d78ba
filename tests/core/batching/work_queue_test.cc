// SPDX-License-Identifier: Apache-2.0
#include "core/batching/work_queue.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

WorkItem Item(uint64_t id, int priority, int64_t bytes = 0,
              absl::Time deadline = absl::InfiniteFuture()) {
  WorkItem item;
  item.id = id;
  item.priority = static_cast<Priority>(priority);
  item.cost.bytes = bytes;
  item.deadline = deadline;
  item.expected = absl::Milliseconds(static_cast<int64_t>(id));
  return item;
}

std::vector<uint64_t> Ids(absl::Span<const WorkItem> items) {
  std::vector<uint64_t> ids;
  for (const WorkItem& item : items) ids.push_back(item.id);
  return ids;
}

TEST(WorkQueue, OrdersByPriorityThenByArrival) {
  WorkQueue queue;
  queue.Push(Item(1, 1));
  queue.Push(Item(2, 0));
  queue.Push(Item(3, 2));
  queue.Push(Item(4, 1));
  queue.Push(Item(5, 0));
  EXPECT_THAT(Ids(queue.items()), ElementsAre(2, 5, 1, 4, 3));
}

TEST(WorkQueue, TakesFromAnywhereInOrder) {
  WorkQueue queue;
  for (uint64_t id = 1; id <= 6; ++id) queue.Push(Item(id, 0, 10));
  EXPECT_THAT(Ids(queue.Take({{1, 3}, {}}).run), ElementsAre(2, 4));
  EXPECT_THAT(Ids(queue.items()), ElementsAre(1, 3, 5, 6));
  EXPECT_EQ(queue.bytes(), 40);
  EXPECT_THAT(Ids(queue.Take({}).run), IsEmpty());
  EXPECT_THAT(Ids(queue.TakeAll()), ElementsAre(1, 3, 5, 6));
  EXPECT_EQ(queue.bytes(), 0);
  EXPECT_TRUE(queue.empty());
}

TEST(WorkQueue, TellsWhatRunsFromWhatIsExpired) {
  WorkQueue queue;
  for (uint64_t id = 1; id <= 7; ++id) queue.Push(Item(id, 0, 10));
  const WorkQueue::Taken taken = queue.Take({{1, 3, 4}, {0, 2, 6}});
  EXPECT_THAT(Ids(taken.run), ElementsAre(2, 4, 5));
  EXPECT_THAT(Ids(taken.expired), ElementsAre(1, 3, 7));
  EXPECT_THAT(Ids(queue.items()), ElementsAre(6));
  EXPECT_EQ(queue.bytes(), 10);
}

TEST(WorkQueue, TakesById) {
  WorkQueue queue;
  queue.Push(Item(1, 0));
  queue.Push(Item(2, 0));
  EXPECT_EQ(queue.TakeById(2)->id, 2u);
  EXPECT_FALSE(queue.TakeById(2).has_value());
  EXPECT_THAT(Ids(queue.items()), ElementsAre(1));
}

TEST(WorkQueue, TakesTheExpiredAndKnowsTheNextDeadline) {
  const absl::Time now = absl::UnixEpoch();
  WorkQueue queue;
  EXPECT_EQ(queue.NextDeadline(), absl::InfiniteFuture());
  queue.Push(Item(1, 0, 0, now + absl::Seconds(2)));
  queue.Push(Item(2, 0, 0, now));
  queue.Push(Item(3, 0, 0, now + absl::Seconds(1)));
  EXPECT_EQ(queue.NextDeadline(), now);
  EXPECT_THAT(Ids(queue.TakeExpired(now)), ElementsAre(2));
  EXPECT_EQ(queue.NextDeadline(), now + absl::Seconds(1));
}

TEST(WorkQueue, SumsWhatIsAheadOfAPriority) {
  WorkQueue queue;
  queue.Push(Item(1, 0));
  queue.Push(Item(2, 1));
  queue.Push(Item(4, 2));
  EXPECT_EQ(queue.ExpectedUpTo(Priority::kHigh), absl::Milliseconds(1));
  EXPECT_EQ(queue.ExpectedUpTo(Priority::kNormal), absl::Milliseconds(3));
  EXPECT_EQ(queue.ExpectedUpTo(Priority::kLow), absl::Milliseconds(7));
}

TEST(WorkQueue, EqualsASortedListUnderRandomUse) {
  const unsigned seed = 20240611;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  WorkQueue queue;
  std::vector<std::pair<int, uint64_t>> model;
  uint64_t id = 0;
  for (int step = 0; step < 3000; ++step) {
    if (random() % 3 != 0 || model.empty()) {
      const int priority = static_cast<int>(random() % kPriorities);
      queue.Push(Item(++id, priority));
      model.emplace_back(priority, id);
      std::sort(model.begin(), model.end());
    } else {
      std::vector<size_t> indices;
      BatchDecision decision;
      for (size_t i = 0; i < model.size(); ++i) {
        if (random() % 4 != 0) continue;
        indices.push_back(i);
        (random() % 2 == 0 ? decision.run : decision.expired).push_back(i);
      }
      queue.Take(decision);
      for (size_t i = indices.size(); i-- > 0;) {
        model.erase(model.begin() + static_cast<ptrdiff_t>(indices[i]));
      }
    }
    ASSERT_EQ(queue.size(), static_cast<int64_t>(model.size()));
    for (size_t i = 0; i < model.size(); ++i) ASSERT_EQ(queue.items()[i].id, model[i].second);
  }
}

}  // namespace
}  // namespace attend
