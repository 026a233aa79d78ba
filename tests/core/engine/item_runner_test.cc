// SPDX-License-Identifier: Apache-2.0
#include "core/engine/item_runner.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::ElementsAre;

struct Item {
  enum class Fault { kNone, kMemory, kLibrary };
  Fault fault = Fault::kNone;
  mutable int computed = 0;
  TaskGate* close = nullptr;  // closed once the item is computed
  TaskGate* stop = nullptr;   // stopped once the item is computed
};

// Computes items on the workers, as real runners do; a fault throws in the middle of a batch.
class FaultyRunner final : public ItemRunner<Item> {
 public:
  using ItemRunner::ItemRunner;

  std::vector<size_t> batches;  // sizes

 private:
  void Compute(absl::Span<const Item* const> batch, ExecutionContext& context) override {
    batches.push_back(batch.size());
    ArenaFrame frame(context.arena(0));
    frame.Take<float>(1000);
    context.pool().ParallelFor(static_cast<int64_t>(batch.size()), [&](int64_t i, int worker) {
      ArenaFrame own(context.arena(worker));
      own.Take<float>(100);
      const Item& item = *batch[static_cast<size_t>(i)];
      if (item.fault == Item::Fault::kMemory) throw std::bad_alloc();
      if (item.fault == Item::Fault::kLibrary) throw std::runtime_error("could not execute");
      ++item.computed;
      if (item.close != nullptr) item.close->Close();
      if (item.stop != nullptr) item.stop->Stop();
    });
  }
};

class ItemRunnerTest : public ::testing::Test {
 protected:
  ItemRunnerTest() {
    contexts_.emplace_back(2);
    runner_.emplace(contexts_);
  }

  // The failures of the items, computed as one batch.
  std::vector<absl::Status> Run(const std::vector<Item>& items) {
    std::vector<absl::Status> failures(items.size());
    for (size_t i = 0; i < items.size(); ++i) runner_->Add(0, items[i], failures[i]);
    runner_->batches.clear();
    computed_ = runner_->Run(0, gate_);
    return failures;
  }

  TaskGate gate_;
  bool computed_ = false;  // the last batch as a whole
  std::deque<ExecutionContext> contexts_;
  std::optional<FaultyRunner> runner_;
};

TEST_F(ItemRunnerTest, ComputesAGoodBatchOnce) {
  const std::vector<Item> items(3);
  for (const absl::Status& failure : Run(items)) EXPECT_TRUE(failure.ok()) << failure;
  EXPECT_THAT(runner_->batches, ElementsAre(3));
  EXPECT_TRUE(computed_);
  for (const Item& item : items) EXPECT_EQ(item.computed, 1);
}

TEST_F(ItemRunnerTest, FailsTheItemsAloneThatFailByThemselves) {
  std::vector<Item> items(4);
  items[1].fault = Item::Fault::kMemory;
  items[2].fault = Item::Fault::kLibrary;
  const std::vector<absl::Status> failures = Run(items);
  EXPECT_THAT(runner_->batches, ElementsAre(4, 1, 1, 1, 1));
  EXPECT_FALSE(computed_);
  EXPECT_TRUE(failures[0].ok()) << failures[0];
  EXPECT_GE(items[0].computed, 1);
  EXPECT_EQ(failures[1].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(failures[1]).reason, "MEMORY");
  EXPECT_GT(GetRetryPushback(failures[1]), absl::ZeroDuration());
  EXPECT_EQ(failures[2].code(), absl::StatusCode::kInternal);
  EXPECT_EQ(failures[2].message(), "could not execute");
  EXPECT_TRUE(failures[3].ok()) << failures[3];
  EXPECT_GE(items[3].computed, 1);
}

TEST_F(ItemRunnerTest, DoesNotCountABatchWithoutItemsAsComputed) {
  Run({});
  EXPECT_FALSE(computed_);
}

TEST_F(ItemRunnerTest, ForgetsAFailedBatch) {
  std::vector<Item> items(1);
  items[0].fault = Item::Fault::kMemory;
  EXPECT_FALSE(Run(items)[0].ok());
  EXPECT_THAT(runner_->batches, ElementsAre(1));
  const std::vector<Item> good(2);
  for (const absl::Status& failure : Run(good)) EXPECT_TRUE(failure.ok()) << failure;
  EXPECT_THAT(runner_->batches, ElementsAre(2));
}

// A batch that waits for its turn has not failed: it goes on where it was and is not retried.
TEST_F(ItemRunnerTest, ComputesASuspendedBatchOnce) {
  std::vector<Item> items(100);
  for (size_t i = 0; i < items.size(); i += 9) items[i].close = &gate_;
  std::atomic<bool> ended{false};
  std::thread opener([&] {
    while (!ended.load()) {
      gate_.Open();
      std::this_thread::yield();
    }
  });
  for (const absl::Status& failure : Run(items)) EXPECT_TRUE(failure.ok()) << failure;
  ended.store(true);
  opener.join();
  EXPECT_THAT(runner_->batches, ElementsAre(100));
  EXPECT_TRUE(computed_);
  for (const Item& item : items) EXPECT_EQ(item.computed, 1);
}

TEST_F(ItemRunnerTest, StartsNoTaskOfABatchThatIsStoppedAndRetriesNothing) {
  std::vector<Item> items(100);
  items[0].stop = &gate_;
  for (const absl::Status& failure : Run(items)) EXPECT_TRUE(failure.ok()) << failure;
  EXPECT_THAT(runner_->batches, ElementsAre(100));
  // The other worker may compute until it sees the stopped gate, but nothing begins after.
  const std::vector<Item> late(100);
  Run(late);
  EXPECT_FALSE(computed_);
  for (const Item& item : late) EXPECT_EQ(item.computed, 0);
  gate_.Reset(true);
  const std::vector<Item> after(3);
  Run(after);
  for (const Item& item : after) EXPECT_EQ(item.computed, 1);
}

}  // namespace
}  // namespace attend
