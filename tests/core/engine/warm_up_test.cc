// SPDX-License-Identifier: Apache-2.0

// What an engine computes before the first request.

#include <atomic>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "core/engine/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/engine/test_requests.h"
#include "tests/support/fake_clock.h"
#include "tests/support/largest_block.h"

namespace attend {
namespace {

using testing::HasSubstr;

constexpr int64_t kEmbed = 64;
constexpr int64_t kRows = 97;
constexpr absl::Duration kLimit = absl::Seconds(1);

class BatchCounter final : public BatchObserver {
 public:
  void OnBatch(const BatchRecord& /*batch*/) override { ++batches; }
  std::atomic<int> batches{0};
};

class WarmUpTest : public testing::Test {
 protected:
  void AddLayer(const std::string& name, int64_t key = kEmbed, int64_t value = kEmbed) {
    ASSERT_TRUE(layers_.Add(MakeTestLayer(name, kEmbed, key, value, 16, 16, 8)).ok());
  }

  void Start(int executors = 1, int64_t budget_bytes = int64_t{1} << 28) {
    EngineOptions options;
    options.num_workers = options.executors = executors;
    // However slow the machine is, requests run on the lane that was warmed up, the short one.
    options.short_limit = absl::Minutes(1);
    options.before_task = [this] {
      ++tasks_;
      if (fails_) throw std::bad_alloc();
    };
    budget_.emplace(budget_bytes);
    engine_ = std::make_unique<Engine>(options, layers_, *budget_, clock_, &observer_);
    tasks_ = 0;  // the engine has measured its rates
  }

  absl::StatusOr<Response> CallLayer(const std::string& name) {
    MultiHeadAttentionRequest request;
    request.layer = name;
    request.query = Zeros({1, kRows, kEmbed});
    return Call(*engine_, std::move(request));
  }

  FakeClock clock_;
  LayerRegistry layers_;
  BatchCounter observer_;
  std::atomic<int> tasks_{0};
  std::atomic<bool> fails_{false};
  std::optional<MemoryBudget> budget_;
  std::unique_ptr<Engine> engine_;
};

// The output of a request takes 24 KiB, and queries, keys, values and contexts twice as much each.
TEST_F(WarmUpTest, TheFirstRequestFindsItsWorkingMemory) {
  AddLayer("a");
  Start();
  ASSERT_EQ(*engine_->WarmUp(kLimit), 1);
  largest_block = kRows * kEmbed * sizeof(float) + 1024;
  const absl::StatusOr<Response> response = CallLayer("a");
  largest_block = kNoLimit;
  EXPECT_TRUE(response.ok()) << response.status();
}

TEST_F(WarmUpTest, ComputesEachLayerOnEachExecutor) {
  AddLayer("a");
  Start();
  ASSERT_EQ(*engine_->WarmUp(kLimit), 1);
  const int tasks = tasks_;
  EXPECT_GT(tasks, 0);
  AddLayer("b");
  Start(2);
  ASSERT_EQ(*engine_->WarmUp(kLimit), 2);
  EXPECT_EQ(tasks_, 4 * tasks);
}

TEST_F(WarmUpTest, ComputesLayersWhoseKeysAndValuesHaveWidthsOfTheirOwn) {
  AddLayer("key", kEmbed / 2, kEmbed / 2);
  AddLayer("value", kEmbed, kEmbed / 2);
  Start();
  EXPECT_EQ(*engine_->WarmUp(kLimit), 2);
}

TEST_F(WarmUpTest, IsNotTakenForRequestsOfCallers) {
  AddLayer("a");
  Start();
  ASSERT_TRUE(engine_->WarmUp(kLimit).ok());
  EXPECT_EQ(observer_.batches, 0);
  EXPECT_EQ(engine_->stats().in_flight_bytes, 0);
  ASSERT_TRUE(CallLayer("a").ok());
  engine_.reset();
  EXPECT_EQ(observer_.batches, 1);
}

TEST_F(WarmUpTest, NamesALayerThatCannotBeComputed) {
  AddLayer("a");
  Start();
  fails_ = true;
  const absl::Status status = engine_->WarmUp(kLimit).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("layer a cannot be computed: the server has no memory"));
}

TEST_F(WarmUpTest, LeavesOutWhatIsPredictedToTakeTooLong) {
  AddLayer("a");
  Start();
  EXPECT_EQ(*engine_->WarmUp(absl::ZeroDuration()), 0);
  EXPECT_EQ(tasks_, 0);
}

TEST_F(WarmUpTest, LeavesOutWhatTheMemoryBudgetHasNoRoomFor) {
  AddLayer("a");
  Start(1, 100'000);
  EXPECT_EQ(*engine_->WarmUp(kLimit), 0);
  EXPECT_GT(tasks_, 0);  // of one row
}

TEST_F(WarmUpTest, TriesALayerBeforeItReplacesAnother) {
  AddLayer("a");
  Start();
  const std::unique_ptr<const Layer> next = MakeTestLayer("a", kEmbed, kEmbed, kEmbed, 16, 16, 8);
  EXPECT_TRUE(engine_->WarmUpLayer(*next, kLimit).ok());
  EXPECT_GT(tasks_, 0);
  EXPECT_EQ(observer_.batches, 0);
  fails_ = true;
  EXPECT_THAT(std::string(engine_->WarmUpLayer(*next, kLimit).message()),
              HasSubstr("layer a cannot be computed"));
  const std::unique_ptr<const Layer> other = MakeTestLayer("b", kEmbed, kEmbed, kEmbed);
  EXPECT_EQ(engine_->WarmUpLayer(*other, kLimit).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace attend
