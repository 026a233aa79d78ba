// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_ENGINE_H_
#define ATTEND_CORE_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/attention/lengths.h"
#include "core/base/clock.h"
#include "core/base/memory_budget.h"
#include "core/batching/batch_observer.h"
#include "core/engine/request.h"
#include "core/layer/registry.h"

namespace attend {

struct EngineOptions {
  int num_workers = 0;   // threads that compute, all executors together; 0: one per core
  int executors = 0;     // that share the workers and run batches at the same time; 0: see
                         // PlanExecutors
  bool batching = true;  // false: every batch holds one request

  // A batch stops growing at these limits; a single request may exceed the latter two.
  int64_t max_batch_requests = 256;
  int64_t max_batch_tokens = 4096;
  absl::Duration batch_target = absl::Milliseconds(5);  // of its predicted time

  // Requests that are predicted to take longer than this are suspended to let shorter ones pass,
  // but keep at least `long_share` of the time while both wait.
  absl::Duration short_limit = absl::Milliseconds(10);
  double long_share = 0.25;

  // A request that has waited for so long is served as the next higher priority.
  absl::Duration priority_aging = absl::Seconds(1);
  // A request that is predicted to compute for longer, alone on one executor, is refused.
  absl::Duration max_request_compute = absl::Minutes(1);

  int64_t max_queue_requests = 1024;
  absl::Duration max_queue_time = absl::Minutes(2);  // that waiting requests should take together
  absl::Duration max_queue_delay = absl::Milliseconds(100);  // QueueLimits::target_delay

  // Rows of one sequence, padding included. The larger of this and max_batch_tokens bounds both
  // the valid rows of a request, all sequences together, and the number of its sequences.
  int64_t max_sequence_length = 32768;
  int64_t max_weights_bytes = int64_t{256} << 20;
  int64_t max_heads = 1024;  // query heads of the bare operator; a layer has its own
  int64_t max_response_bytes = int64_t{256} << 20;  // output, weights and log-sum-exp together

  // Called before each task by the thread that computes it; may be empty. Tests hold work with it.
  std::function<void()> before_task;
};

// INVALID_ARGUMENT if there are more executors than workers.
absl::Status CheckExecutors(const EngineOptions& options);

// Bytes of a budget that an engine keeps between batches: its lanes' working memory, at most
// an eighth of the budget, so that a small budget is not spent on memory that no request holds.
// Precondition: CheckExecutors accepts the options.
int64_t EngineRetainedBytes(const EngineOptions& options, int64_t budget_bytes);

// The present state, for gauges.
struct EngineStats {
  int64_t queue_requests = 0;
  int64_t queue_bytes = 0;
  int64_t in_flight_bytes = 0;
  int64_t in_flight_limit = 0;    // the most that in_flight_bytes may be
  absl::Duration queue_expected;  // time that the queued requests should take
  absl::Duration queue_oldest;    // how long the oldest of them has waited
  absl::Duration batch_oldest;    // how long ago the oldest running batch began
  absl::Duration batch_overrun;   // how much longer a running batch takes than expected, at most
  bool batch_overdue = false;     // one takes many times as long: something is wrong
};

// Validates requests, queues them, runs them in batches and answers each exactly once.
// Thread-safe.
class Engine {
 public:
  using Done = ResponseCallback;
  using Ticket = uint64_t;

  // Precondition: CheckExecutors accepts the options. All other arguments outlive the engine.
  // `layers` has all names: layers added later are not served. A request keeps the layer that it
  // began with where `layers` replaces it meanwhile. `observer`, which may be nullptr, is
  // told of every batch. The memory that the engine keeps between batches (EngineRetainedBytes) is
  // reserved in `budget` for good.
  Engine(const EngineOptions& options, const LayerRegistry& layers, MemoryBudget& budget,
         const Clock& clock, BatchObserver* observer);

  // Drains without waiting: requests that are queued or being computed end with CANCELLED.
  ~Engine();

  // The budget that the engine was made with. A request's inputs are charged to it before their
  // tensors are read; the charge is passed to Submit.
  MemoryBudget& budget();

  // Computes requests of zeros through each layer on each executor, as LayerWarmUp does, so
  // that the first requests of callers are as fast as later ones. Begins none that is predicted to
  // end after `limit`. Returns how many layers ran on all executors. An error names a layer that
  // cannot be computed. Blocks. Precondition: Submit was not called yet.
  absl::StatusOr<int64_t> WarmUp(absl::Duration limit);

  // The same for a layer that is about to replace the one of its name, on the calling thread alone,
  // while requests are served. NOT_FOUND if no layer has its name. Thread-safe.
  absl::Status WarmUpLayer(const Layer& layer, absl::Duration limit);

  // Tells whether a request that has not been read yet could be taken, so that a refusal costs
  // nothing: UNAVAILABLE DRAINING, or RESOURCE_EXHAUSTED with pushback and reason QUEUE_FULL or
  // those of MemoryBudget::CheckRoom and, unless `quota` is nullptr, of Quota::CheckRoom. OK
  // promises nothing. Blocks at most for a mutex.
  absl::Status Admit(CallerId caller, Quota* quota = nullptr) const;
  // Whether Admit would take the request now and `bytes` >= 1 could be charged for it. For a caller
  // that waits instead of being refused, so that the quota counts no refusal.
  bool HasRoom(int64_t bytes, CallerId caller, Quota* quota = nullptr) const;

  // Whether there was more short work than could be computed when Admit was last called. Does not
  // block.
  bool Overloaded() const;

  // Takes the request and ends it by calling `done` exactly once: with the response, or with a
  // status of the wire contract. Checks the request, predicts its cost, charges its memory and
  // queues it; does not block and allocates no output. `done` may run before Submit returns (a
  // refusal) or on a thread of the engine's; it must not block. `deadline` is a time of the
  // engine's clock: a request that is queued or being computed then ends with DEADLINE_EXCEEDED. A
  // request that cannot end in time even on an idle machine is refused at once
  // (DEADLINE_EXCEEDED). Under load a request is refused at once (RESOURCE_EXHAUSTED with
  // pushback) if the queue is full or does not drain, or if waiting would use up its deadline, and
  // if the charge's quota has no predicted time left (Quota::Spend).
  // Returns the ticket for Cancel; 0 if the request was refused. `charge` must come from budget();
  // it grows by the memory of outputs and computation and travels in Response until the response is
  // dropped. `needed_bytes`, unless it is nullptr, is set to all that the request needs of the
  // budget, inputs included, also where there is no room for it; it stays as it was if the request
  // was refused before that was known.
  Ticket Submit(Request request, MemoryCharge charge, absl::Time deadline, Done done,
                int64_t* needed_bytes = nullptr);

  // Tells the engine that the caller has gone: if the request is still queued, it ends with
  // CANCELLED at once, uncomputed. If it is being computed, that stops between two tasks, some
  // milliseconds long, unless its batch holds requests of others. Otherwise does nothing. Any
  // ticket may be given.
  void Cancel(Ticket ticket);

  // Refuses new requests (UNAVAILABLE) and finishes those it has; at `deadline` ends those still
  // queued with UNAVAILABLE, stops running batches, whose requests soon end likewise, and
  // returns. Blocks; must not be called from `done`.
  void Drain(absl::Time deadline);

  EngineStats stats() const;
  const EngineOptions& options() const;  // with num_workers and executors resolved

  // The limits on one request that its shapes alone decide. Constant.
  const ShapeLimits& shape_limits() const;

  // The largest number of heads that any request may have: the operator's limit, or that of the
  // layer with the most heads. Constant.
  int64_t max_heads() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_ENGINE_H_
