// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_ENGINE_HELD_ENGINE_H_
#define ATTEND_TESTS_CORE_ENGINE_HELD_ENGINE_H_

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "core/engine/engine.h"
#include "tests/core/engine/test_requests.h"
#include "tests/support/fake_clock.h"

namespace attend {

// An engine whose executor can be held, so that requests submitted meanwhile form one batch. To
// be used by one thread.
class HeldEngine {
 public:
  // `layers` outlives the engine.
  HeldEngine(int workers, const LayerRegistry& layers)
      : budget_(int64_t{1} << 30), engine_(Options(workers), layers, budget_, clock_, nullptr) {}

  Engine& engine() { return engine_; }

  // Runs all requests as one batch if the engine may batch them: requests of one layer, or all
  // of the operator. Answers are in the order of `requests`; their timing counts the requests of
  // their batch. Blocks until all are answered.
  std::vector<absl::StatusOr<Response>> CallTogether(std::vector<Request> requests) {
    std::vector<Answer> answers(requests.size());
    Hold();
    for (size_t i = 0; i < requests.size(); ++i) {
      engine_.Submit(std::move(requests[i]), *engine_.budget().Charge(100), absl::InfiniteFuture(),
                     answers[i].Callback());
    }
    Release();
    std::vector<absl::StatusOr<Response>> responses;
    for (Answer& answer : answers) responses.push_back(std::move(answer.Wait()));
    return responses;
  }

 private:
  static EngineOptions Options(int workers) {
    EngineOptions options;
    options.num_workers = workers;
    options.max_batch_tokens = int64_t{1} << 20;
    options.batch_target = options.short_limit = absl::InfiniteDuration();
    return options;
  }

  // Holds the executor in the callback of an extra request.
  void Hold() {
    {
      MutexLock lock(mutex_);
      held_ = released_ = false;
    }
    ScaledDotProductAttentionRequest request;
    request.query = Zeros({1, 1, 1, 1});
    request.key = Zeros({1, 1, 1, 1});
    request.value = Zeros({1, 1, 1, 1});
    engine_.Submit(std::move(request), *engine_.budget().Charge(0), absl::InfiniteFuture(),
                   [this](absl::StatusOr<Response>) {
                     MutexLock lock(mutex_);
                     held_ = true;
                     changed_.NotifyAll();
                     while (!released_) changed_.Wait(mutex_);
                   });
    MutexLock lock(mutex_);
    while (!held_) changed_.Wait(mutex_);
  }

  void Release() {
    MutexLock lock(mutex_);
    released_ = true;
    changed_.NotifyAll();
  }

  FakeClock clock_;
  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
  MemoryBudget budget_;
  Engine engine_;
};

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_ENGINE_HELD_ENGINE_H_
