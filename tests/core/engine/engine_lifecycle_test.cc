// SPDX-License-Identifier: Apache-2.0

// The life of requests between Submit and their answer.

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/base/status.h"
#include "core/engine/engine.h"
#include "core/exec/execution_context.h"
#include "core/exec/executor_plan.h"
#include "core/exec/topology.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/engine/test_requests.h"
#include "tests/support/fake_clock.h"

namespace attend {
namespace {

using Mha = MultiHeadAttentionRequest;
using Sdpa = ScaledDotProductAttentionRequest;

class CountingObserver final : public BatchObserver {
 public:
  void OnBatch(const BatchRecord& batch) override {
    ++batches;
    requests += batch.requests;
    tokens += batch.tokens;
    flops = batch.flops;
  }
  std::atomic<int64_t> batches{0}, requests{0}, tokens{0};
  std::atomic<double> flops{0.0};
};

constexpr int64_t kBudgetBytes = 1 << 20;

EngineOptions Options() {
  EngineOptions options;
  options.num_workers = 1;
  return options;
}

Sdpa SmallRequest(int64_t rows = 2) {
  Sdpa request;
  request.query = Zeros({1, rows, 1, 4});
  request.key = Zeros({1, rows, 1, 4});
  request.value = Zeros({1, rows, 1, 4});
  return request;
}

class EngineLifecycle : public ::testing::Test {
 protected:
  void Start(EngineOptions options = Options(), int64_t budget_bytes = kBudgetBytes) {
    budget_.emplace(budget_bytes);
    engine_ = std::make_unique<Engine>(options, layers_, *budget_, clock_, &observer_);
  }

  // Keeps the executor in a callback until Release. Only this thread submits.
  void Occupy() {
    engine_->Submit(SmallRequest(), *engine_->budget().Charge(0), absl::InfiniteFuture(),
                    [this](absl::StatusOr<Response> response) {
                      response = absl::UnknownError("dropped");
                      MutexLock lock(mutex_);
                      occupied_ = true;
                      changed_.NotifyAll();
                      while (!released_) changed_.Wait(mutex_);
                    });
    MutexLock lock(mutex_);
    while (!occupied_) changed_.Wait(mutex_);
  }

  void Release() {
    MutexLock lock(mutex_);
    released_ = true;
    changed_.NotifyAll();
  }

  Engine::Ticket Submit(Answer& answer, Request request,
                        absl::Time deadline = absl::InfiniteFuture()) {
    return engine_->Submit(std::move(request), *engine_->budget().Charge(100), deadline,
                           answer.Callback());
  }

  FakeClock clock_;
  LayerRegistry layers_;
  CountingObserver observer_;
  Mutex mutex_;
  CondVar changed_;
  bool occupied_ ABSL_GUARDED_BY(mutex_) = false;
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<MemoryBudget> budget_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineLifecycle, BatchesWhatWaitedAndTellsTheObserver) {
  Start();
  Occupy();
  Answer first, second;
  Submit(first, SmallRequest(3));
  Submit(second, SmallRequest(5));
  EXPECT_EQ(engine_->stats().queue_requests, 2);
  EXPECT_GT(engine_->stats().queue_bytes, 200);
  clock_.Advance(absl::Seconds(2));
  Release();
  const Timing timing = first.Wait()->timing;
  EXPECT_EQ(timing.batch_requests, 2);
  EXPECT_EQ(timing.batch_tokens, 8);
  EXPECT_EQ(timing.queue, absl::Seconds(2));
  EXPECT_EQ(timing.compute, absl::ZeroDuration());
  EXPECT_EQ(second.Wait()->timing.batch_requests, 2);
  EXPECT_EQ(observer_.batches, 2);
  EXPECT_EQ(observer_.requests, 3);
  EXPECT_EQ(observer_.tokens, 2 + 8);
  EXPECT_EQ(observer_.flops, 4.0 * 4 * (3 * 3 + 5 * 5));
}

// Requests from before and after a reload, in one batch.
TEST_F(EngineLifecycle, ARequestKeepsTheLayerThatItBeganWith) {
  const auto make_layer = [](float softcap) {
    return MakeTestLayer("r", 24, 24, 24, 4, 2, 8,
                         [&](LayerConfig& config) { config.softcap = softcap; });
  };
  ASSERT_TRUE(layers_.Add(make_layer(0.25f)).ok());
  const std::weak_ptr<const Layer> old = layers_.Find("r");
  EngineOptions options = Options();
  options.batch_target = options.short_limit = absl::InfiniteDuration();
  Start(options, int64_t{1} << 26);
  const auto request = [] {
    std::mt19937 random(4718);
    Mha made;
    made.layer = "r";
    made.query = RandomTensor(random, {1, 9, 24});
    return made;
  };
  const auto values = [](Answer& answer) {
    const float* data = answer.Wait()->output.as<float>();
    return std::vector<float>(data, data + 9 * 24);
  };
  Answer of_old, before, after, of_new;
  Submit(of_old, request());
  of_old.Wait();
  Occupy();
  Submit(before, request());
  std::vector<std::unique_ptr<const Layer>> replacement;
  replacement.push_back(make_layer(2.0f));
  ASSERT_TRUE(layers_.Replace(std::move(replacement)).ok());
  Submit(after, request());
  Release();
  EXPECT_EQ(before.Wait()->timing.batch_requests, 2);
  Submit(of_new, request());
  EXPECT_NE(values(of_old), values(of_new));
  EXPECT_EQ(values(before), values(of_old));
  EXPECT_EQ(values(after), values(of_new));
  engine_.reset();
  EXPECT_TRUE(old.expired());
}

TEST_F(EngineLifecycle, RunsOneRequestABatchWithoutBatching) {
  EngineOptions options = Options();
  options.batching = false;
  Start(options);
  Occupy();
  Answer first, second;
  Submit(first, SmallRequest());
  Submit(second, SmallRequest());
  Release();
  EXPECT_EQ(first.Wait()->timing.batch_requests, 1);
  EXPECT_EQ(second.Wait()->timing.batch_requests, 1);
}

TEST_F(EngineLifecycle, ServesWaitingRequestsByTheirPriority) {
  EngineOptions options = Options();
  options.batching = false;
  Start(options);
  Occupy();
  std::vector<Priority> order;  // guarded by mutex_
  for (const Priority priority : {Priority::kLow, Priority::kNormal, Priority::kHigh}) {
    Sdpa request = SmallRequest();
    request.priority = priority;
    engine_->Submit(std::move(request), *engine_->budget().Charge(100), absl::InfiniteFuture(),
                    [this, priority, &order](const absl::StatusOr<Response>& response) {
                      EXPECT_TRUE(response.ok()) << response.status();
                      MutexLock lock(mutex_);
                      order.push_back(priority);
                      changed_.NotifyAll();
                    });
  }
  Release();
  MutexLock lock(mutex_);
  while (order.size() < 3) changed_.Wait(mutex_);
  EXPECT_THAT(order, testing::ElementsAre(Priority::kHigh, Priority::kNormal, Priority::kLow));
}

// Holds an engine in the second task of a request with many.
class EngineInMidBatch : public EngineLifecycle {
 protected:
  EngineInMidBatch() {
    EngineOptions options = Options();
    options.before_task = [this] { BeginTask(); };
    Start(options);
  }

  // Returns once the engine computes the request.
  Engine::Ticket Hold(Answer& answer, absl::Time deadline = absl::InfiniteFuture()) {
    {
      MutexLock lock(mutex_);
      tasks_ = 0;
    }
    Sdpa request;
    request.query = Zeros({1, 512, 16, 4});
    request.key = Zeros({1, 8, 16, 4});
    request.value = Zeros({1, 8, 16, 4});
    const Engine::Ticket ticket = Submit(answer, std::move(request), deadline);
    MutexLock lock(mutex_);
    while (!occupied_) changed_.Wait(mutex_);
    return ticket;
  }

  // The tasks that were begun, that of the hold included.
  int tasks() {
    MutexLock lock(mutex_);
    return tasks_;
  }

 private:
  void BeginTask() {
    MutexLock lock(mutex_);
    if (++tasks_ != 2) return;
    occupied_ = true;
    changed_.NotifyAll();
    while (!released_) changed_.Wait(mutex_);
  }

  int tasks_ ABSL_GUARDED_BY(mutex_) = -1'000'000;  // the engine measures its rates before
};

TEST_F(EngineInMidBatch, ComputesTheRestIfNobodyStopsIt) {
  Answer answer;
  Hold(answer);
  Release();
  EXPECT_TRUE(answer.Wait().ok());
  EXPECT_GT(tasks(), 8);
}

TEST_F(EngineInMidBatch, StopsForACallerThatHasGone) {
  Answer gone, next;
  engine_->Cancel(Hold(gone));
  Release();
  EXPECT_EQ(gone.Wait().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(tasks(), 2);
  Submit(next, SmallRequest());
  EXPECT_TRUE(next.Wait().ok());
  EXPECT_EQ(observer_.flops, 4.0 * 4 * 2 * 2);
}

TEST_F(EngineInMidBatch, StopsAtTheDeadline) {
  Answer answer;
  Hold(answer, clock_.Now() + absl::Hours(1));
  clock_.Advance(absl::Hours(1));
  engine_->Cancel(0);  // any call looks at the clock; the timer would wait for an hour
  Release();
  EXPECT_EQ(answer.Wait().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(GetErrorInfo(answer.Wait().status()).reason, "EXPIRED");
  EXPECT_EQ(tasks(), 2);
}

TEST_F(EngineInMidBatch, StopsWhenTheDrainEnds) {
  Answer answer;
  Hold(answer);
  engine_->Drain(clock_.Now());
  Release();
  EXPECT_EQ(answer.Wait().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(tasks(), 2);
}

TEST_F(EngineLifecycle, ExpiresInTheQueueUncomputed) {
  Start();
  Occupy();
  Answer answer;
  Submit(answer, SmallRequest(), clock_.Now() + absl::Milliseconds(1));
  clock_.Advance(absl::Milliseconds(1));
  const absl::Status status = answer.Wait().status();  // while the executor is busy
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(GetErrorInfo(status).reason, "EXPIRED");
  EXPECT_EQ(engine_->stats().queue_requests, 0);
  EXPECT_EQ(engine_->stats().in_flight_bytes, 0);
  EXPECT_EQ(observer_.requests, 1);
  Release();
}

TEST_F(EngineLifecycle, CancelsInTheQueueUncomputed) {
  Start();
  Occupy();
  Answer answer;
  const Engine::Ticket ticket = Submit(answer, SmallRequest());
  engine_->Cancel(ticket);
  EXPECT_EQ(answer.count(), 1);
  EXPECT_EQ(answer.Wait().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(engine_->stats().in_flight_bytes, 0);
  engine_->Cancel(ticket);
  engine_->Cancel(0);
  EXPECT_EQ(answer.count(), 1);
  Release();
}

TEST_F(EngineLifecycle, RefusesWhenTheQueueIsFull) {
  EngineOptions options = Options();
  options.max_queue_requests = 1;
  Start(options);
  Occupy();
  Answer first, second;
  Submit(first, SmallRequest());
  EXPECT_EQ(Submit(second, SmallRequest()), 0u);
  const absl::Status status = second.Wait().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(status).reason, "QUEUE_FULL");
  EXPECT_GT(GetRetryPushback(status), absl::ZeroDuration());
  Release();
  EXPECT_TRUE(first.Wait().ok());
}

TEST_F(EngineLifecycle, RefusesWhatTheMemoryOfNowDoesNotHold) {
  Start();
  MemoryCharge held = *budget_->Charge(budget_->request_bytes() - 200);
  Answer answer;
  Submit(answer, SmallRequest(100));
  const absl::Status status = answer.Wait().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(status).reason, "MEMORY");
  EXPECT_GT(GetRetryPushback(status), absl::ZeroDuration());
  EXPECT_EQ(engine_->stats().in_flight_bytes, held.bytes());
}

TEST_F(EngineLifecycle, TellsWhatARequestNeedsAndWhetherThereIsRoomForIt) {
  Start();
  const auto submit = [&](absl::Status& status) {
    Answer answer;
    int64_t needed_bytes = 0;
    engine_->Submit(SmallRequest(100), *budget_->Charge(100), absl::InfiniteFuture(),
                    answer.Callback(), &needed_bytes);
    status = answer.Wait().status();
    return needed_bytes;
  };
  absl::Status status;
  const int64_t needed_bytes = submit(status);
  EXPECT_TRUE(status.ok()) << status;
  ASSERT_GE(needed_bytes, 100 + 100 * 4 * 4);  // with the output
  const MemoryCharge held = *budget_->Charge(budget_->request_bytes() - needed_bytes);
  EXPECT_TRUE(engine_->HasRoom(needed_bytes, kSharedCaller));
  const MemoryCharge one = *budget_->Charge(1);
  EXPECT_FALSE(engine_->HasRoom(needed_bytes, kSharedCaller));
  EXPECT_EQ(submit(status), needed_bytes);
  EXPECT_EQ(GetErrorInfo(status).reason, "MEMORY");
}

TEST_F(EngineLifecycle, HoldsMemoryUntilTheResponseIsDropped) {
  ASSERT_TRUE(layers_.Add(MakeTestLayer("self", 16, 16, 16)).ok());
  Start();
  Mha request;
  request.layer = "self";
  request.query = Zeros({2, 3, 16});
  request.options.weights = WeightsOutput::kPerHead;
  {
    absl::StatusOr<Response> response = Call(*engine_, std::move(request));
    ASSERT_TRUE(response.ok()) << response.status();
    const int64_t outputs = 2 * 3 * 16 * 4 + 2 * 4 * 3 * 3 * 4;
    EXPECT_GE(response->charge.bytes(), 1000 + outputs);
    // Working memory is given back before the answer.
    EXPECT_EQ(engine_->stats().in_flight_bytes, response->charge.bytes());
    EXPECT_EQ(response->layer_sha256, "sha of self");
  }
  EXPECT_EQ(engine_->stats().in_flight_bytes, 0);
}

TEST_F(EngineLifecycle, LeavesToRequestsWhatItDoesNotKeepBetweenBatches) {
  const auto check = [&](int64_t budget_bytes, int64_t retained_bytes) {
    Start(Options(), budget_bytes);
    EXPECT_EQ(EngineRetainedBytes(Options(), budget_bytes), retained_bytes);
    EXPECT_EQ(budget_->request_bytes(), budget_bytes - retained_bytes);
    EXPECT_EQ(engine_->stats().in_flight_bytes, 0);
    engine_.reset();
  };
  check(int64_t{4} << 30, 2 * RetainedMemory().TotalBytes(1));  // of two lanes
  check(8 * 5000, 4000);  // one worker has four fifths of a lane's share of an eighth
}

TEST_F(EngineLifecycle, DividesTheMemoryThatItKeepsAmongExecutors) {
  EngineOptions options = Options();
  options.num_workers = options.executors = 2;
  EXPECT_EQ(EngineRetainedBytes(options, int64_t{8} << 30), 4 * RetainedMemory().TotalBytes(1));
  EXPECT_EQ(EngineRetainedBytes(options, 8 * 5000), 4000);
  Start(options, 8 * 5000);
  EXPECT_EQ(budget_->request_bytes(), 7 * 5000 + 1000);
  EXPECT_EQ(engine_->options().executors, 2);
  EXPECT_EQ(engine_->options().num_workers, 2);
}

TEST_F(EngineLifecycle, RefusesMoreExecutorsThanWorkers) {
  EngineOptions options = Options();
  options.executors = 2;
  EXPECT_EQ(CheckExecutors(options).code(), absl::StatusCode::kInvalidArgument);
  options.num_workers = 2;
  EXPECT_EQ(CheckExecutors(options), absl::OkStatus());
}

CpuList GetCpusOfThisThread() {
  CpuList cpus;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

// An executor runs one short batch at a time until its requests have ended, so callbacks that
// wait for each other need an executor each.
TEST_F(EngineLifecycle, RunsTwoExecutorsAtTheSameTimeEachOnItsCpus) {
  EngineOptions options = Options();
  options.num_workers = options.executors = 2;
  Start(options);
  int arrived = 0;
  std::vector<CpuList> cpus;
  for (int i = 0; i < 2; ++i) {
    engine_->Submit(SmallRequest(), *engine_->budget().Charge(0), absl::InfiniteFuture(),
                    [&](absl::StatusOr<Response> response) {
                      EXPECT_TRUE(response.ok()) << response.status();
                      MutexLock lock(mutex_);
                      cpus.push_back(GetCpusOfThisThread());
                      ++arrived;
                      changed_.NotifyAll();
                      while (arrived < 2) changed_.Wait(mutex_);
                    });
  }
  engine_->Drain(absl::InfiniteFuture());
  const auto plans = PlanExecutors(ReadTopology(), 2, 2);
  ASSERT_TRUE(plans.ok()) << plans.status();
  std::vector<CpuList> expected;
  for (const ExecutorPlan& plan : *plans) {
    expected.push_back(plan.cpus.empty() ? GetCpusOfThisThread() : plan.cpus);
    std::sort(expected.back().begin(), expected.back().end());
  }
  EXPECT_THAT(cpus, ::testing::UnorderedElementsAreArray(expected));
}

TEST_F(EngineLifecycle, TwoExecutorsGiveTheSameBitsAsOne) {
  constexpr int kRequests = 8;
  std::mt19937 random(7);
  std::vector<Sdpa> requests(kRequests);
  for (int i = 0; i < kRequests; ++i) {
    requests[i].query = RandomTensor(random, {1, 40 + 9 * i, 2, 16});
    requests[i].key = RandomTensor(random, {1, 70 + 7 * i, 2, 16});
    requests[i].value = RandomTensor(random, {1, 70 + 7 * i, 2, 16});
  }
  std::vector<Tensor> outputs[2];
  for (const int executors : {1, 2}) {
    EngineOptions options = Options();
    options.num_workers = 2;
    options.executors = executors;
    options.max_batch_requests = 2;
    Start(options, int64_t{1} << 28);
    std::vector<Answer> answers(kRequests);
    for (int i = 0; i < kRequests; ++i) Submit(answers[i], Copy(requests[i]));
    for (Answer& answer : answers) {
      absl::StatusOr<Response>& response = answer.Wait();
      ASSERT_TRUE(response.ok()) << response.status();
      outputs[executors - 1].push_back(Copy(response->output));
      response = absl::UnknownError("dropped");
    }
    engine_.reset();
  }
  for (int i = 0; i < kRequests; ++i) {
    const Tensor& one = outputs[0][i];
    ASSERT_EQ(one.byte_size(), outputs[1][i].byte_size());
    EXPECT_EQ(std::memcmp(one.data(), outputs[1][i].data(), one.byte_size()), 0) << i;
  }
}

// A response that is held for long, as gRPC holds it for a slow reader.
TEST_F(EngineLifecycle, ResponsesOutliveTheEngineAndItsBudget) {
  Start();
  absl::StatusOr<Response> response = Call(*engine_, SmallRequest());
  ASSERT_TRUE(response.ok()) << response.status();
  engine_.reset();
  budget_.reset();
  EXPECT_GT(response->charge.bytes(), 0);
  response = absl::UnknownError("dropped");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they end the program
// Its weights have more bytes than a process can address, whatever the budget says.
Sdpa ImpossibleRequest() {
  constexpr int64_t kRows = int64_t{1} << 23;
  Sdpa request;
  request.query = Zeros({1, kRows, 1, 1}, DataType::kBFloat16);
  request.key = Zeros({1, kRows, 1, 1}, DataType::kBFloat16);
  request.value = Zeros({1, kRows, 1, 1}, DataType::kBFloat16);
  request.options.weights = WeightsOutput::kPerHead;
  return request;
}

EngineOptions WithoutLimits() {
  EngineOptions options = Options();
  options.max_sequence_length = int64_t{1} << 40;
  options.max_weights_bytes = int64_t{1} << 60;
  options.max_response_bytes = int64_t{1} << 60;
  options.max_batch_tokens = int64_t{1} << 40;
  options.batch_target = options.short_limit = options.max_request_compute =
      options.max_queue_time = absl::InfiniteDuration();
  return options;
}

TEST_F(EngineLifecycle, FailsARequestAloneWhoseOutputsCannotBeAllocated) {
  Start(WithoutLimits(), int64_t{1} << 60);
  Occupy();
  Answer before, impossible, after;
  Submit(before, SmallRequest());
  Submit(impossible, ImpossibleRequest());
  Submit(after, SmallRequest());
  Release();
  const absl::Status status = impossible.Wait().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(GetErrorInfo(status).reason, "MEMORY");
  EXPECT_GT(GetRetryPushback(status), absl::ZeroDuration());
  EXPECT_EQ(before.Wait()->timing.batch_requests, 3);
  EXPECT_TRUE(after.Wait().ok());
}

TEST_F(EngineLifecycle, RefusesWhatDoesNotGetIntoTheQueueBeforeItAllocates) {
  EngineOptions options = WithoutLimits();
  options.max_queue_requests = 1;
  Start(options, int64_t{1} << 60);
  Occupy();
  Answer queued, refused;
  Submit(queued, SmallRequest());
  Submit(refused, ImpossibleRequest());
  EXPECT_EQ(refused.count(), 1);
  EXPECT_EQ(GetErrorInfo(refused.Wait().status()).reason, "QUEUE_FULL");
  Release();
  EXPECT_TRUE(queued.Wait().ok());
}
#endif

TEST_F(EngineLifecycle, RefusesWhatIsPredictedToComputeForTooLong) {
  EngineOptions options = Options();
  options.max_request_compute = absl::Seconds(1);
  Start(options, int64_t{1} << 30);
  // Its heads are one feature wide: few floating-point operations, but 10^11 exponentials.
  Sdpa costly;
  costly.query = Zeros({1, 32768, 96, 1});
  costly.key = Zeros({1, 32768, 96, 1});
  costly.value = Zeros({1, 32768, 96, 1});
  const absl::Status status = Call(*engine_, std::move(costly)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(GetErrorInfo(status).reason, "TOO_COSTLY");
  EXPECT_LT(GetRetryPushback(status), absl::ZeroDuration());
  EXPECT_THAT(std::string(status.message()),
              testing::MatchesRegex("the request is predicted to compute for "
                                    "[0-9.e+]+ seconds; a request may compute "
                                    "for 1 seconds on this server"));
  EXPECT_EQ(engine_->stats().in_flight_bytes, 0);
  EXPECT_TRUE(Call(*engine_, SmallRequest()).ok());
}

TEST_F(EngineLifecycle, CountsTheTimeOfALayersWeightsAsARequestsOwn) {
  ASSERT_TRUE(layers_.Add(MakeTestLayer("layer", 64, 64, 64)).ok());
  EngineOptions options = Options();
  options.max_request_compute = absl::Nanoseconds(1);
  Start(options);
  Mha empty;
  empty.layer = "layer";
  empty.query = Zeros({1, 0, 64});
  const absl::Status status = Call(*engine_, std::move(empty)).status();
  EXPECT_EQ(GetErrorInfo(status).reason, "TOO_COSTLY") << status;
}

TEST_F(EngineLifecycle, DrainFinishesWhatItHasAndRefusesMore) {
  Start();
  Occupy();
  Answer queued, late;
  Submit(queued, SmallRequest());
  std::thread drainer([this] { engine_->Drain(absl::InfiniteFuture()); });
  // Draining has begun when a request is refused; requests accepted before are served.
  absl::Status refused;
  while (refused.ok()) {
    Answer probe;
    const Engine::Ticket ticket = Submit(probe, SmallRequest());
    if (ticket == 0) {
      refused = probe.Wait().status();
    } else {
      engine_->Cancel(ticket);
      probe.Wait();
    }
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorInfo(refused).reason, "DRAINING");
  EXPECT_EQ(queued.count(), 0);
  Release();
  drainer.join();
  EXPECT_EQ(queued.count(), 1);
  EXPECT_TRUE(queued.Wait().ok());
}

TEST_F(EngineLifecycle, DrainEndsWhatIsLeftAtItsDeadline) {
  Start();
  Occupy();
  Answer queued;
  Submit(queued, SmallRequest());
  engine_->Drain(clock_.Now());
  EXPECT_EQ(queued.count(), 1);
  EXPECT_EQ(queued.Wait().status().code(), absl::StatusCode::kUnavailable);
  Release();
}

TEST_F(EngineLifecycle, ResolvesTheNumberOfWorkers) {
  EngineOptions options = Options();
  options.num_workers = 0;
  Start(options);
  EXPECT_GE(engine_->options().num_workers, 1);
}

// A request has the same bits alone and in any company.
TEST_F(EngineLifecycle, CompanyDoesNotChangeBits) {
  const unsigned seed = 31337;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  ASSERT_TRUE(layers_.Add(MakeTestLayer("self", 64, 64, 64, 4, 2, 16)).ok());
  EngineOptions options = Options();
  options.num_workers = 2;
  Start(options, 1 << 28);

  std::vector<Request> requests;
  std::vector<absl::StatusOr<Response>> alone;
  const auto copy = [](const Request& request) {
    return std::visit([](const auto& r) -> Request { return Copy(r); }, request);
  };
  for (int i = 0; i < 40; ++i) {
    const int64_t rows = 1 + static_cast<int64_t>(random() % 97);
    const DataType type = random() % 3 == 0 ? DataType::kBFloat16 : DataType::kFloat32;
    if (i % 2 == 0) {
      Mha request;
      request.layer = "self";
      request.query = RandomTensor(random, {rows, 64}, type);
      request.options.causal = random() % 2 == 0;
      requests.emplace_back(std::move(request));
    } else {
      Sdpa request;
      request.query = RandomTensor(random, {1, rows, 4, 16}, type);
      request.key = RandomTensor(random, {1, rows, 2, 16}, type);
      request.value = RandomTensor(random, {1, rows, 2, 16}, type);
      request.options.causal = random() % 2 == 0;
      requests.emplace_back(std::move(request));
    }
    alone.push_back(Call(*engine_, copy(requests.back())));
    ASSERT_TRUE(alone.back().ok()) << alone.back().status();
    ASSERT_EQ(alone.back()->timing.batch_requests, 1);
  }
  Occupy();
  constexpr int kCalls = 200;
  std::vector<size_t> which(kCalls);
  std::vector<Answer> answers(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    which[i] = random() % requests.size();
    Submit(answers[i], copy(requests[which[i]]));
  }
  Release();
  bool had_company = false;
  for (int i = 0; i < kCalls; ++i) {
    const absl::StatusOr<Response>& got = answers[i].Wait();
    ASSERT_TRUE(got.ok()) << got.status();
    had_company |= got->timing.batch_requests > 1;
    const Tensor& want = alone[which[i]]->output;
    ASSERT_EQ(got->output.byte_size(), want.byte_size());
    ASSERT_EQ(std::memcmp(got->output.data(), want.data(), want.byte_size()), 0)
        << "request " << which[i];
  }
  EXPECT_TRUE(had_company);
}

// The first tasks of the request wait for each other, so both executors must compute it.
TEST_F(EngineLifecycle, ComputesALongRequestOnAllExecutorsWithTheSameBits) {
  std::mt19937 random(99);
  ASSERT_TRUE(layers_.Add(MakeTestLayer("self", 64, 64, 64, 4, 2, 16)).ok());
  const auto make = [&random] {
    std::vector<Request> requests;
    Mha layer;
    layer.layer = "self";
    layer.query = RandomTensor(random, {1500, 64}, DataType::kFloat32);
    requests.emplace_back(std::move(layer));
    Sdpa bare;
    bare.query = RandomTensor(random, {1, 700, 4, 16}, DataType::kFloat32);
    bare.key = RandomTensor(random, {1, 700, 2, 16}, DataType::kFloat32);
    bare.value = RandomTensor(random, {1, 700, 2, 16}, DataType::kFloat32);
    requests.emplace_back(std::move(bare));
    return requests;
  };
  for (Request& request : make()) {
    const auto copy = [&request] {
      return std::visit([](const auto& r) -> Request { return Copy(r); }, request);
    };
    EngineOptions options = Options();
    Start(options, 1 << 28);
    const absl::StatusOr<Response> want = Call(*engine_, copy());
    ASSERT_TRUE(want.ok()) << want.status();

    options.num_workers = options.executors = 2;
    options.short_limit = absl::Nanoseconds(1);  // every request is long
    std::atomic<int> waiting{-1'000'000};        // until the engine has measured its rates
    options.before_task = [&waiting] {
      if (waiting.fetch_add(1) >= 2) return;
      while (waiting.load() < 2 && waiting.load() >= 0) std::this_thread::yield();
    };
    Start(options, 1 << 28);
    waiting.store(0);
    const absl::StatusOr<Response> got = Call(*engine_, copy());
    ASSERT_TRUE(got.ok()) << got.status();
    ASSERT_EQ(got->output.byte_size(), want->output.byte_size());
    EXPECT_EQ(std::memcmp(got->output.data(), want->output.data(), want->output.byte_size()), 0);
    engine_.reset();
  }
}

// Many threads submit, cancel and let requests expire: each request is answered exactly once,
// the counts add up, no byte stays charged.
class EngineUnderContention : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Executors, EngineUnderContention, testing::Values(1, 2));

TEST_P(EngineUnderContention, AnswersEachRequestExactlyOnce) {
  constexpr int kThreads = 8;
  constexpr int kRequests = 300;
  LayerRegistry layers;
  ASSERT_TRUE(layers.Add(MakeTestLayer("a", 16, 16, 16)).ok());
  ASSERT_TRUE(layers.Add(MakeTestLayer("b", 16, 16, 16)).ok());
  EngineOptions options = Options();
  options.num_workers = 2;
  options.executors = GetParam();
  if (options.executors > 1) options.short_limit = absl::Nanoseconds(1);  // they help each other
  options.max_queue_requests = 24;
  CountingObserver observer;
  std::atomic<int64_t> ok{0}, refused{0}, expired{0}, cancelled{0}, other{0};
  std::vector<std::atomic<int>> answers(kThreads * kRequests);
  {
    MemoryBudget budget(kBudgetBytes);
    Engine engine(options, layers, budget, Clock::Steady(), &observer);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(1000 + t);
        for (int i = 0; i < kRequests; ++i) {
          Request request;
          if (random() % 2 == 0) {
            Mha mha;
            mha.layer.push_back(random() % 2 == 0 ? 'a' : 'b');
            mha.query = Zeros({static_cast<int64_t>(random() % 9), 16});
            mha.priority = static_cast<Priority>(random() % kPriorities);
            request = std::move(mha);
          } else {
            request = SmallRequest(static_cast<int64_t>(random() % 9));
          }
          absl::StatusOr<MemoryCharge> charge = engine.budget().Charge(500);
          std::atomic<int>& count = answers[static_cast<size_t>(t * kRequests + i)];
          if (!charge.ok()) {
            ++count;
            ++refused;
            continue;
          }
          const absl::Time deadline =
              random() % 4 == 0 ? Clock::Steady().Now() + absl::Microseconds(random() % 300)
                                : absl::InfiniteFuture();
          const Engine::Ticket ticket =
              engine.Submit(std::move(request), *std::move(charge), deadline,
                            [&](absl::StatusOr<Response> response) {
                              ++count;
                              switch (response.status().code()) {
                                case absl::StatusCode::kOk:
                                  ++ok;
                                  break;
                                case absl::StatusCode::kResourceExhausted:
                                  ++refused;
                                  break;
                                case absl::StatusCode::kDeadlineExceeded:
                                  ++expired;
                                  break;
                                case absl::StatusCode::kCancelled:
                                  ++cancelled;
                                  break;
                                default:
                                  ++other;
                              }
                            });
          if (random() % 4 == 0) engine.Cancel(ticket);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    engine.Drain(absl::InfiniteFuture());
    EXPECT_EQ(engine.stats().queue_requests, 0);
    EXPECT_EQ(engine.stats().in_flight_bytes, 0);
  }
  for (const std::atomic<int>& count : answers) ASSERT_EQ(count, 1);
  EXPECT_EQ(other, 0);
  EXPECT_EQ(ok + refused + expired + cancelled, kThreads * kRequests);
  EXPECT_GE(observer.requests, ok);  // some were cancelled or expired while their batch ran
  EXPECT_GT(ok, 0);
}

}  // namespace
}  // namespace attend
