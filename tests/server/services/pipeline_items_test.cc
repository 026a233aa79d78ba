// SPDX-License-Identifier: Apache-2.0
#include "server/services/pipeline_items.h"

#include <gtest/gtest.h>

#include <memory>

#include "core/base/status.h"

namespace attend {
namespace {

struct Item final : public PipelineItem {
  explicit Item(uint64_t number) { id = number; }
  void OnDeadline() override {}
};

std::shared_ptr<PipelineItem> Make(uint64_t id) {
  return std::make_shared<Item>(id);
}

TEST(PipelineItemsTest, WritesOneAnswerAtATimeInTheirOrder) {
  PipelineItems items;
  const auto first = Make(1), second = Make(2);
  ASSERT_TRUE(items.Add(first).ok());
  ASSERT_TRUE(items.Add(second).ok());
  EXPECT_EQ(items.StartWriting(), nullptr);
  items.Answer({.item = second});
  EXPECT_EQ(items.size(), 2u);
  EXPECT_EQ(items.Find(2), nullptr);
  EXPECT_EQ(items.Find(1), first);
  PipelineAnswer* const writing = items.StartWriting();
  ASSERT_NE(writing, nullptr);
  EXPECT_EQ(writing->item, second);
  EXPECT_TRUE(items.IsWriting(*second));
  EXPECT_EQ(items.FindWaiting(*second), nullptr);  // it leaves: too late to replace it
  EXPECT_FALSE(items.has_waiting());
  items.Answer({.item = first});
  EXPECT_TRUE(items.has_waiting());
  EXPECT_NE(items.FindWaiting(*first), nullptr);
  EXPECT_EQ(items.StartWriting(), nullptr);
  EXPECT_EQ(items.EndWriting().item, second);
  EXPECT_EQ(items.size(), 1u);
  EXPECT_EQ(items.StartWriting()->item, first);
  items.EndWriting();
  EXPECT_TRUE(items.empty());
}

TEST(PipelineItemsTest, AnIdIsTakenUntilItsAnswerBeginsToLeave) {
  PipelineItems items;
  const auto item = Make(7);
  ASSERT_TRUE(items.Add(item).ok());
  const auto refused = Make(7);
  EXPECT_EQ(GetErrorInfo(items.Add(refused)).reason, "DUPLICATE_ID");
  items.Answer({.item = refused, .code = absl::StatusCode::kInvalidArgument});
  EXPECT_EQ(items.Find(7), item);  // which goes on
  items.StartWriting();
  items.Answer({.item = item});
  EXPECT_EQ(GetErrorInfo(items.Add(Make(7))).reason, "DUPLICATE_ID");
  items.EndWriting();
  items.StartWriting();
  EXPECT_TRUE(items.Add(Make(7)).ok());
}

TEST(PipelineItemsTest, ARequestOnAStreamThatEndedAMomentBeforeIsRefused) {
  PipelineItems items;
  const auto running = Make(1), answered = Make(2);
  ASSERT_TRUE(items.Add(running).ok());
  ASSERT_TRUE(items.Add(answered).ok());
  items.Answer({.item = answered});
  const auto unanswered = items.Close();
  ASSERT_EQ(unanswered.size(), 1u);
  EXPECT_EQ(unanswered.front(), running);
  EXPECT_TRUE(absl::IsCancelled(items.Add(Make(3))));
  EXPECT_EQ(items.TakeAnswers().size(), 1u);
  EXPECT_TRUE(items.empty());
}

}  // namespace
}  // namespace attend
