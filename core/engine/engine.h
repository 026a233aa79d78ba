// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_ENGINE_H_
#define ATTEND_CORE_ENGINE_ENGINE_H_

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/memory_budget.h"
#include "core/batching/batch_observer.h"
#include "core/engine/request.h"
#include "core/layer/registry.h"

namespace attend {

struct EngineOptions {
  int num_workers = 0;   // threads that compute; 0: one per core
  bool batching = true;  // false: every batch holds one request

  // A batch stops growing at these; one request alone may exceed the latter two.
  int64_t max_batch_requests = 256;
  int64_t max_batch_tokens = 4096;
  double max_batch_flops = 5e10;  // of Cost::work; about 0.2 s on one AVX-512 core

  int64_t max_queue_requests = 1024;

  // Rows of one sequence, padding included. A request may have as many valid rows
  // in all as the larger of this and max_batch_tokens, and as many sequences.
  int64_t max_sequence_length = 32768;
  int64_t max_weights_bytes = int64_t{256} << 20;
  uint32_t priority_levels = 3;
};

// What an engine keeps of a budget between batches: working memory of its executor, at most an
// eighth of the budget, so that a small one is not spent on memory that no request holds.
int64_t EngineRetainedBytes(const EngineOptions& options, int64_t budget_bytes);

// The present state, for gauges.
struct EngineStats {
  int64_t queue_requests = 0;
  int64_t queue_bytes = 0;
  int64_t in_flight_bytes = 0;
};

// Validates requests, queues them, runs them in batches and answers each
// exactly once. Thread-safe.
class Engine {
 public:
  using Done = ResponseCallback;
  using Ticket = uint64_t;

  // All arguments but the options outlive the engine. `layers` is complete: layers that are
  // added later are not served. `observer`, which may be nullptr, is told of every batch. What the
  // engine keeps between batches (EngineRetainedBytes) is reserved in `budget`, for good.
  Engine(const EngineOptions& options, const LayerRegistry& layers, MemoryBudget& budget,
         const Clock& clock, BatchObserver* observer);

  // Drains with no time to spare: what is queued ends CANCELLED.
  ~Engine();

  // The budget that the engine was made with. A request's inputs are charged to it before
  // their tensors are read; the charge is handed to Submit.
  MemoryBudget& budget();

  // Takes the request and ends it by calling `done` exactly once: with the
  // response, or with a status of the wire contract. Checks the request, predicts
  // its cost, charges its memory and queues it; does not block and allocates no
  // output. `done` may run before Submit returns (a refusal) or on an executor's
  // thread; it must not block. `deadline` is a time of the engine's clock: a
  // request that is still queued then ends DEADLINE_EXCEEDED, uncomputed.
  // Under load it is refused at once (RESOURCE_EXHAUSTED with pushback) where the
  // queue is full, or where waiting would use its deadline up.
  // Returns what Cancel takes; 0 where it was refused.
  // `charge` must come from budget(); it grows by what outputs and computation
  // need and travels in Response until the response is dropped.
  Ticket Submit(Request request, MemoryCharge charge, absl::Time deadline, Done done);

  // The caller went away: if the request is still queued it ends CANCELLED,
  // uncomputed, at once. Otherwise does nothing. Any ticket may be given.
  void Cancel(Ticket ticket);

  // Refuses new requests (UNAVAILABLE), finishes what it has, ends what is still
  // queued at `deadline` with UNAVAILABLE, and returns then. A batch that runs at
  // that moment goes on; its requests end as usual. Blocks; not from `done`.
  void Drain(absl::Time deadline);

  EngineStats stats() const;
  const EngineOptions& options() const;  // num_workers resolved

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_ENGINE_H_
