// SPDX-License-Identifier: Apache-2.0
#include "core/batching/scheduler.h"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"

namespace attend {
namespace {

using ::testing::ElementsAre;

// Uses std primitives, so that ThreadSanitizer sees them.
class Event {
 public:
  void Set() {
    MutexLock lock(mutex_);
    set_ = true;
    changed_.NotifyAll();
  }
  void Wait() {
    MutexLock lock(mutex_);
    while (!set_) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

struct Outcome {
  // Items of one test may end on several threads, in any order.
  ~Outcome() {
    if (has_work) work_destroyed.Wait();
  }

  std::atomic<int> ends{0};
  std::atomic<int> runs{0};
  absl::Status status = absl::UnknownError("not ended");
  Timing timing;
  Event ended;
  bool has_work = false;
  Event work_destroyed;
};

// Hands over names; `on_run` is called with the names of a batch and its gate.
class TestRunner final : public BatchRunner {
 public:
  using OnRun = std::function<void(const std::vector<int>& names, TaskGate& gate)>;
  explicit TestRunner(OnRun on_run = [](const std::vector<int>&, TaskGate&) {})
      : on_run_(std::move(on_run)) {}

  void Add(int lane, int name) { names_[lane].push_back(name); }
  bool Run(int lane, TaskGate& gate) override {
    on_run_(std::exchange(names_[lane], {}), gate);
    return !gate.stopped();
  }

 private:
  const OnRun on_run_;
  std::vector<int> names_[2 * kLanes];  // indexed by lane, used by its thread alone
};

class TestWork final : public Work {
 public:
  TestWork(TestRunner* runner, int name, Outcome* outcome)
      : runner_(runner), name_(name), outcome_(outcome) {
    if (outcome_ != nullptr) outcome_->has_work = true;
  }
  ~TestWork() override {
    if (outcome_ != nullptr) outcome_->work_destroyed.Set();
  }

  void Prepare(int lane) override {
    ++outcome_->runs;
    runner_->Add(lane, name_);
  }
  void End(absl::StatusOr<Timing> result) override {
    if (result.ok()) outcome_->timing = *result;
    outcome_->status = std::move(result).status();
    ++outcome_->ends;
    outcome_->ended.Set();
  }

 private:
  TestRunner* const runner_;
  const int name_;
  Outcome* const outcome_;
};

// The predicted time of an item.
constexpr double kItemSeconds = 1e-4;

WorkItem MakeItem(TestRunner* runner, int name, Outcome* outcome,
                  absl::Time deadline = absl::InfiniteFuture()) {
  WorkItem item;
  item.runner = runner;
  item.cost = {kItemSeconds, 2e6, 1, 100};
  item.deadline = deadline;
  item.work = std::make_unique<TestWork>(runner, name, outcome);
  return item;
}

class RecordingObserver final : public BatchObserver {
 public:
  void OnBatch(const BatchRecord& batch) override {
    MutexLock lock(mutex_);
    batches_.push_back(batch);
  }
  std::vector<BatchRecord> batches() {
    MutexLock lock(mutex_);
    return batches_;
  }

 private:
  Mutex mutex_;
  std::vector<BatchRecord> batches_ ABSL_GUARDED_BY(mutex_);
};

// A scheduler whose executor runs only the batches that Allow() admits.
class SchedulerTest : public ::testing::Test {
 protected:
  void Start(SchedulerOptions options = Options()) {
    scheduler_.emplace(options, clock_, &observer_);
  }

  WorkItem Item(int name, Outcome* outcome, absl::Time deadline = absl::InfiniteFuture()) {
    return MakeItem(&runner_, name, outcome, deadline);
  }

  void RunBatch(const std::vector<int>& names, TaskGate& gate) {
    MutexLock lock(mutex_);
    batches_.push_back(names);
    changed_.NotifyAll();
    while (allowed_ == 0) changed_.Wait(mutex_);
    --allowed_;
    if (gate.stopped()) ++stopped_batches_;
    clock_.Advance(takes_);
  }

  static SchedulerOptions Options() {
    SchedulerOptions options;
    options.batch.max_requests = 16;
    options.batch.max_tokens = 1000;
    return options;
  }

  void Allow(int batches) {
    MutexLock lock(mutex_);
    allowed_ += batches;
    changed_.NotifyAll();
  }

  void WaitForBatches(size_t count) {
    MutexLock lock(mutex_);
    while (batches_.size() < count) changed_.Wait(mutex_);
  }

  // Occupies the executor with the item.
  void Occupy(Outcome* outcome) {
    WorkItem item = Item(0, outcome);
    ASSERT_TRUE(scheduler_->Submit(item).ok());
    WaitForBatches(1);
  }

  uint64_t Submit(WorkItem item) {
    absl::StatusOr<uint64_t> id = scheduler_->Submit(item);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.value_or(0);
  }

  FakeClock clock_;
  Mutex mutex_;
  CondVar changed_;
  int allowed_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration takes_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<int>> batches_ ABSL_GUARDED_BY(mutex_);
  int stopped_batches_ ABSL_GUARDED_BY(mutex_) = 0;
  TestRunner runner_{
      [this](const std::vector<int>& names, TaskGate& gate) { RunBatch(names, gate); }};
  RecordingObserver observer_;
  std::optional<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, TakesWorkAtOnceWhenIdle) {
  Start();
  Allow(1);
  Outcome outcome;
  Submit(Item(1, &outcome));
  outcome.ended.Wait();
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.runs, 1);
}

TEST_F(SchedulerTest, BatchesWhatWaitedWhileTheExecutorWasBusy) {
  Start();
  Outcome first, second, third;
  Occupy(&first);
  Submit(Item(1, &second));
  Submit(Item(2, &third));
  Allow(2);
  third.ended.Wait();
  MutexLock lock(mutex_);
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(0), ElementsAre(1, 2)));
}

TEST_F(SchedulerTest, ServesHigherPriorityFirst) {
  SchedulerOptions options = Options();
  options.batch.max_requests = 1;
  Start(options);
  Outcome first, low, high;
  Occupy(&first);
  WorkItem item = Item(1, &low);
  item.priority = Priority::kLow;
  Submit(std::move(item));
  Submit(Item(2, &high));
  Allow(3);
  low.ended.Wait();
  MutexLock lock(mutex_);
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(0), ElementsAre(2), ElementsAre(1)));
}

TEST_F(SchedulerTest, RefusesWhenTheQueueIsFullAndLeavesTheItemToTheCaller) {
  SchedulerOptions options = Options();
  options.queue.max_requests = 1;
  Start(options);
  Outcome first, second, third;
  Occupy(&first);
  Submit(Item(1, &second));
  WorkItem item = Item(2, &third);
  const absl::Status status = scheduler_->Submit(item).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(status).reason, "QUEUE_FULL");
  EXPECT_GT(GetRetryPushback(status), absl::ZeroDuration());
  EXPECT_NE(item.work, nullptr);
  EXPECT_EQ(third.ends, 0);
  EXPECT_EQ(scheduler_->stats().refused, 1);
  Allow(2);
  second.ended.Wait();
}

TEST_F(SchedulerTest, RefusesWhenTheQueueHoldsTooManyBytes) {
  SchedulerOptions options = Options();
  options.queue.max_bytes = 150;
  Start(options);
  Outcome first, second, third;
  Occupy(&first);
  Submit(Item(1, &second));
  EXPECT_EQ(scheduler_->stats().queue_bytes, 100);
  WorkItem item = Item(2, &third);
  EXPECT_EQ(GetErrorInfo(scheduler_->Submit(item).status()).reason, "QUEUE_FULL");
  Allow(2);
  second.ended.Wait();
}

TEST_F(SchedulerTest, EndsAQueuedItemAtItsDeadlineWhileTheExecutorIsBusy) {
  Start();
  Outcome first, second, third;
  Occupy(&first);
  Submit(Item(1, &second, clock_.Now() + absl::Milliseconds(1)));
  Submit(Item(2, &third, clock_.Now() + absl::Milliseconds(2)));
  clock_.Advance(absl::Milliseconds(1));
  second.ended.Wait();
  EXPECT_EQ(second.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(second.runs, 0);
  EXPECT_EQ(third.ends, 0);
  Allow(2);
  third.ended.Wait();
  EXPECT_TRUE(third.status.ok());
}

TEST_F(SchedulerTest, RefusesADeadlineThatHasPassed) {
  Start();
  Outcome outcome;
  WorkItem item = Item(1, &outcome, clock_.Now());
  EXPECT_EQ(scheduler_->Submit(item).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(outcome.ends, 0);
}

TEST_F(SchedulerTest, CancelsWhatIsQueuedAtOnce) {
  Start();
  Outcome first, second;
  Occupy(&first);
  const uint64_t id = Submit(Item(1, &second));
  scheduler_->Cancel(id);
  EXPECT_EQ(second.ends, 1);
  EXPECT_EQ(second.status.code(), absl::StatusCode::kCancelled);
  scheduler_->Cancel(id);
  scheduler_->Cancel(12345);
  EXPECT_EQ(second.ends, 1);
  EXPECT_EQ(second.runs, 0);
  Allow(1);
  first.ended.Wait();
}

TEST_F(SchedulerTest, StopsARunningBatchWhenItsLastItemIsCancelled) {
  Start();
  Outcome first, second, third;
  Occupy(&first);
  const uint64_t second_id = Submit(Item(1, &second));
  const uint64_t third_id = Submit(Item(2, &third));
  Allow(1);
  WaitForBatches(2);
  scheduler_->Cancel(second_id);
  scheduler_->Cancel(third_id);
  scheduler_->Cancel(third_id);
  EXPECT_EQ(second.ends, 0);  // only the executor's thread ends what it runs
  Allow(1);
  third.ended.Wait();
  EXPECT_EQ(second.status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(third.status.code(), absl::StatusCode::kCancelled);
  scheduler_->Drain(absl::InfiniteFuture());
  const SchedulerStats stats = scheduler_->stats();
  EXPECT_EQ(stats.cancelled, 2);
  EXPECT_EQ(stats.run, 1);
  EXPECT_EQ(observer_.batches().at(1).flops, 0.0);
  MutexLock lock(mutex_);
  EXPECT_EQ(stopped_batches_, 1);
}

TEST_F(SchedulerTest, FinishesABatchForTheItemsThatAreStillWanted) {
  Start();
  Outcome first, second, third;
  Occupy(&first);
  const uint64_t id = Submit(Item(1, &second));
  Submit(Item(2, &third));
  Allow(1);
  WaitForBatches(2);
  scheduler_->Cancel(id);
  Allow(1);
  third.ended.Wait();
  EXPECT_EQ(second.status.code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(third.status.ok()) << third.status;
  MutexLock lock(mutex_);
  EXPECT_EQ(stopped_batches_, 0);
}

TEST_F(SchedulerTest, RunsTheNextBatchAfterOneThatWasStopped) {
  Start();
  Outcome first, second;
  WorkItem item = Item(0, &first);
  const uint64_t id = Submit(std::move(item));
  WaitForBatches(1);
  Submit(Item(1, &second));
  scheduler_->Cancel(id);
  Allow(2);
  second.ended.Wait();
  EXPECT_TRUE(second.status.ok()) << second.status;
  MutexLock lock(mutex_);
  EXPECT_EQ(stopped_batches_, 1);
}

// A runner that ends its batch when it is stopped, and not before.
void AwaitStop(const std::vector<int>& /*names*/, TaskGate& gate) {
  while (gate.Pass()) std::this_thread::yield();
}

TEST_F(SchedulerTest, StopsARunningBatchAtTheDeadlineOfItsItem) {
  Start();
  TestRunner endless(AwaitStop);
  Outcome outcome;
  Submit(MakeItem(&endless, 1, &outcome, clock_.Now() + absl::Milliseconds(1)));
  while (outcome.runs == 0) std::this_thread::yield();
  clock_.Advance(absl::Milliseconds(1));
  outcome.ended.Wait();
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(GetErrorInfo(outcome.status).reason, "EXPIRED");
  EXPECT_EQ(outcome.runs, 1);
}

// Otherwise a server that is slower than its callers' deadlines would compute for nobody.
TEST_F(SchedulerTest, LearnsFromBatchesThatExpireWhileTheyRun) {
  Start();
  TestRunner endless(AwaitStop);
  // Nothing is refused while the executor is idle, and the clock stands until the item runs.
  const auto run = [&](int name, Outcome* outcome) {
    while (scheduler_->stats().in_hand > 0) std::this_thread::yield();
    WorkItem item = MakeItem(&endless, name, outcome, clock_.Now() + absl::Milliseconds(10));
    item.cost.seconds = 0.001;
    Submit(std::move(item));
    while (outcome->runs == 0) std::this_thread::yield();
  };
  for (int i = 0; i < 30; ++i) {
    Outcome outcome;
    run(i, &outcome);
    clock_.Advance(absl::Milliseconds(10));
    outcome.ended.Wait();
  }
  Outcome running, waiting;
  run(30, &running);
  WorkItem item = MakeItem(&endless, 31, &waiting, clock_.Now() + absl::Milliseconds(15));
  item.cost.seconds = 0.001;
  EXPECT_EQ(GetErrorInfo(scheduler_->Submit(item).status()).reason, "DEADLINE_UNREACHABLE");
  clock_.Advance(absl::Milliseconds(10));
  running.ended.Wait();
}

TEST_F(SchedulerTest, StopsARunningBatchWhenTheDrainEnds) {
  Start();
  TestRunner endless(AwaitStop);
  Outcome outcome;
  Submit(MakeItem(&endless, 1, &outcome));
  while (outcome.runs == 0) std::this_thread::yield();
  scheduler_->Drain(clock_.Now());
  outcome.ended.Wait();
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorInfo(outcome.status).reason, "DRAINING");
}

TEST_F(SchedulerTest, DestructionStopsARunningBatch) {
  Start();
  TestRunner endless(AwaitStop);
  Outcome outcome;
  Submit(MakeItem(&endless, 1, &outcome));
  while (outcome.runs == 0) std::this_thread::yield();
  scheduler_.reset();
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kCancelled);
}

TEST_F(SchedulerTest, DrainFinishesWhatItHasAndRefusesMore) {
  Start();
  Outcome first, second, third;
  Occupy(&first);
  Submit(Item(1, &second));
  Allow(2);
  scheduler_->Drain(absl::InfiniteFuture());
  EXPECT_TRUE(first.status.ok());
  EXPECT_TRUE(second.status.ok());
  WorkItem item = Item(2, &third);
  const absl::Status status = scheduler_->Submit(item).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorInfo(status).reason, "DRAINING");
}

TEST_F(SchedulerTest, DrainEndsWhatIsLeftAtItsDeadline) {
  Start();
  Outcome first, second;
  Occupy(&first);
  Submit(Item(1, &second));
  scheduler_->Drain(clock_.Now());
  EXPECT_EQ(second.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second.runs, 0);
  EXPECT_EQ(first.ends, 0);
  Allow(1);
  scheduler_.reset();
  EXPECT_EQ(first.status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(SchedulerTest, DestructionEndsWhatIsQueuedCancelled) {
  Start();
  Outcome first, second;
  Occupy(&first);
  Submit(Item(1, &second));
  std::thread destroyer([this] { scheduler_.reset(); });
  second.ended.Wait();  // ends before the running batch
  EXPECT_EQ(second.status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(second.runs, 0);
  Allow(1);
  destroyer.join();
  EXPECT_EQ(first.status.code(), absl::StatusCode::kCancelled);
}

TEST_F(SchedulerTest, RefusesADeadlineThatOnlyLoadMakesUnreachable) {
  SchedulerOptions options = Options();
  options.batch.max_requests = 1;
  Start(options);
  const auto item_of_8_ms = [this](int name, Outcome* outcome, absl::Duration time_left) {
    WorkItem item = Item(name, outcome, clock_.Now() + time_left);
    item.cost.seconds = 0.008;
    return item;
  };
  Outcome first, second, tight, wide, alone;
  Submit(item_of_8_ms(0, &first, absl::Hours(1)));
  WaitForBatches(1);
  Submit(item_of_8_ms(1, &second, absl::Hours(1)));
  // 8 ms running, 8 ms queued, 8 ms its own.
  WorkItem item = item_of_8_ms(2, &tight, absl::Milliseconds(23));
  const absl::Status status = scheduler_->Submit(item).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(status).reason, "DEADLINE_UNREACHABLE");
  EXPECT_EQ(GetRetryPushback(status), absl::Milliseconds(16));
  Submit(item_of_8_ms(3, &wide, absl::Milliseconds(100)));
  // Its own work takes longer than its deadline allows: load is not the reason.
  item = item_of_8_ms(4, &alone, absl::Milliseconds(5));
  EXPECT_EQ(GetErrorInfo(scheduler_->Submit(item).status()).reason, "DEADLINE_TOO_SHORT");
  Allow(3);
  scheduler_->Drain(absl::InfiniteFuture());
  EXPECT_TRUE(wide.status.ok());
}

TEST_F(SchedulerTest, AdmitsADeadlineThatMayBeMetWhileNothingElseRuns) {
  Start();
  Allow(8);
  for (int i = 0; i < 8; ++i) {
    Outcome outcome;
    Submit(Item(i, &outcome, clock_.Now() + absl::Seconds(kItemSeconds * 0.7)));
    outcome.ended.Wait();
    EXPECT_EQ(outcome.runs, 1);
    while (scheduler_->stats().in_hand > 0) std::this_thread::yield();
  }
}

// The long batch ends once the short one has.
TEST_F(SchedulerTest, SuspendsLongWorkForShortWork) {
  Start();
  Outcome long_outcome, short_outcome;
  std::atomic<TaskGate*> long_gate{nullptr};
  TestRunner long_runner([&](const std::vector<int>&, TaskGate& gate) {
    long_gate = &gate;
    while (short_outcome.ends == 0) {
      EXPECT_TRUE(gate.Pass());
      std::this_thread::yield();
    }
  });
  WorkItem item = MakeItem(&long_runner, 1, &long_outcome);
  item.cost.seconds = 1.0;
  Submit(std::move(item));
  while (long_gate == nullptr) std::this_thread::yield();
  EXPECT_TRUE(long_gate.load()->open());
  Submit(Item(2, &short_outcome));
  EXPECT_FALSE(long_gate.load()->open());
  WaitForBatches(1);
  EXPECT_EQ(long_outcome.ends, 0);
  Allow(1);
  long_outcome.ended.Wait();
  EXPECT_EQ(short_outcome.ends, 1);
  EXPECT_TRUE(long_outcome.status.ok()) << long_outcome.status;
}

TEST_F(SchedulerTest, SaysThatABatchRunsFarBeyondItsPrediction) {
  Start();
  Outcome outcome;
  Occupy(&outcome);
  EXPECT_EQ(scheduler_->stats().overrun, absl::ZeroDuration());
  EXPECT_EQ(scheduler_->stats().batch_oldest, absl::ZeroDuration());
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(scheduler_->stats().batch_oldest, absl::Seconds(1));
  EXPECT_EQ(scheduler_->stats().overrun, absl::Seconds(1 - kItemSeconds));
  EXPECT_FALSE(scheduler_->stats().overdue);
  clock_.Advance(absl::Seconds(2));
  EXPECT_TRUE(scheduler_->stats().overdue);
  EXPECT_EQ(scheduler_->stats().batch_oldest, absl::Seconds(3));
  Allow(1);
  scheduler_->Drain(absl::InfiniteFuture());
  EXPECT_EQ(scheduler_->stats().batch_oldest, absl::ZeroDuration());
  EXPECT_EQ(scheduler_->stats().overrun, absl::ZeroDuration());
  EXPECT_FALSE(scheduler_->stats().overdue);
}

// With the fake clock standing still, only the threads of two lanes can end both.
TEST_F(SchedulerTest, RunsTwoExecutorsAtTheSameTime) {
  SchedulerOptions options = Options();
  options.executors = 2;
  options.batch.max_requests = 1;
  Start(options);
  Outcome first, second;
  Submit(Item(1, &first));
  Submit(Item(2, &second));
  WaitForBatches(2);
  Allow(2);
  first.ended.Wait();
  second.ended.Wait();
}

TEST_F(SchedulerTest, EndMaySubmitAndCancel) {
  struct Chained final : Work {
    Chained(Scheduler* s, WorkItem n) : scheduler(s), next(std::move(n)) {}
    void Prepare(int) override {}
    void End(absl::StatusOr<Timing>) override {
      EXPECT_TRUE(scheduler->Submit(next).ok());
      scheduler->Cancel(999);
    }
    Scheduler* const scheduler;
    WorkItem next;
  };
  Start();
  Allow(2);
  Outcome outcome;
  WorkItem item = Item(0, nullptr);
  item.work = std::make_unique<Chained>(&*scheduler_, Item(1, &outcome));
  Submit(std::move(item));
  outcome.ended.Wait();
  EXPECT_TRUE(outcome.status.ok());
}

TEST_F(SchedulerTest, TellsTheObserverAndEachItemHowTheBatchRan) {
  Start();
  {
    MutexLock lock(mutex_);
    takes_ = absl::Milliseconds(7);
  }
  Outcome first, second, third;
  Occupy(&first);
  Submit(Item(1, &second));
  clock_.Advance(absl::Milliseconds(2));
  Submit(Item(2, &third));
  Allow(2);
  second.ended.Wait();
  third.ended.Wait();
  EXPECT_EQ(second.timing.queue, absl::Milliseconds(9));
  EXPECT_EQ(third.timing.queue, absl::Milliseconds(7));
  EXPECT_EQ(third.timing.compute, absl::Milliseconds(7));
  EXPECT_EQ(third.timing.batch_requests, 2);
  EXPECT_EQ(third.timing.batch_tokens, 2);
  const std::vector<BatchRecord> seen = observer_.batches();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].requests, 2);
  EXPECT_EQ(seen[1].tokens, 2);
  EXPECT_EQ(seen[1].flops, 4e6);
  EXPECT_EQ(seen[1].compute, absl::Milliseconds(7));
}

TEST_F(SchedulerTest, RunsWorkOfDifferentRunnersInBatchesOfTheirOwn) {
  Start();
  std::atomic<int> others{0};
  TestRunner other(
      [&](const std::vector<int>& names, TaskGate&) { others += static_cast<int>(names.size()); });
  Outcome first, second, third, fourth;
  Occupy(&first);
  Submit(Item(1, &second));
  Submit(MakeItem(&other, 2, &third));
  Submit(Item(3, &fourth));
  Allow(2);
  scheduler_->Drain(absl::InfiniteFuture());
  EXPECT_EQ(third.timing.batch_requests, 1);
  EXPECT_EQ(others, 1);
  MutexLock lock(mutex_);
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(0), ElementsAre(1, 3)));
}

// Many threads do everything at the same time: each item ends exactly once, and the counters
// equal what callers saw.
TEST(Scheduler, EndsEachItemExactlyOnceUnderContention) {
  constexpr int kThreads = 8;
  constexpr int kItemsPerThread = 500;
  SchedulerOptions options;
  options.batch.max_requests = 8;
  options.batch.max_tokens = 1000;
  options.queue.max_requests = 32;
  options.executors = 2;
  std::vector<Outcome> outcomes(kThreads * kItemsPerThread);
  std::atomic<int64_t> refused{0};
  SchedulerStats stats;
  {
    TestRunner runners[2];
    Scheduler scheduler(options, Clock::Steady(), nullptr);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(7000 + t);
        for (int i = 0; i < kItemsPerThread; ++i) {
          Outcome* outcome = &outcomes[t * kItemsPerThread + i];
          WorkItem item = MakeItem(&runners[random() % 2], i, outcome);
          item.priority = static_cast<Priority>(random() % 3);
          item.caller = random() % 4;
          if (random() % 4 == 0) {
            item.deadline = Clock::Steady().Now() + absl::Microseconds(random() % 200);
          }
          const absl::StatusOr<uint64_t> id = scheduler.Submit(item);
          if (!id.ok()) {
            ++refused;
            item.work->End(id.status());
          } else if (random() % 4 == 0) {
            scheduler.Cancel(*id);
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    scheduler.Drain(absl::InfiniteFuture());
    stats = scheduler.stats();
  }
  int64_t ok = 0, expired = 0, cancelled = 0;
  for (const Outcome& outcome : outcomes) {
    ASSERT_EQ(outcome.ends, 1);
    ASSERT_LE(outcome.runs, 1);
    ASSERT_GE(outcome.runs, outcome.status.ok() ? 1 : 0) << outcome.status;
    ok += outcome.status.ok();
    cancelled += absl::IsCancelled(outcome.status);
  }
  expired = stats.expired;
  EXPECT_EQ(stats.run, ok);
  EXPECT_EQ(stats.cancelled, cancelled);
  EXPECT_EQ(stats.refused, refused);
  EXPECT_EQ(stats.accepted + stats.refused, kThreads * kItemsPerThread);
  EXPECT_EQ(stats.accepted, ok + expired + cancelled + stats.displaced);
  EXPECT_EQ(stats.in_hand, 0);
  EXPECT_EQ(stats.queue_requests, 0);
  EXPECT_EQ(stats.queue_bytes, 0);
}

}  // namespace
}  // namespace attend
