// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_WORK_ITEM_H_
#define ATTEND_CORE_BATCHING_WORK_ITEM_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace attend {

// The resources that running an item takes, as far as batching is concerned.
struct Cost {
  // The time that the item should take, in floating-point operations: the larger of its own
  // operations and of those that last as long as its reading of memory. Bounds batches and
  // predicts how long they take.
  double work = 0.0;
  double flops = 0.0;  // floating-point operations; only reported
  int64_t tokens = 0;  // query rows
  int64_t bytes = 0;   // memory that the item holds while it waits and runs

  Cost& operator+=(const Cost& other) {
    work += other.work;
    flops += other.flops;
    tokens += other.tokens;
    bytes += other.bytes;
    return *this;
  }
};

// How long an item waited and ran, once its batch has run.
struct Timing {
  absl::Duration queue;    // from acceptance to the start of its batch
  absl::Duration compute;  // from the start to the end of its batch
  int64_t batch_requests = 0;
  int64_t batch_tokens = 0;
};

// The work that a scheduler runs, opaque to it.
class Work {
 public:
  virtual ~Work() = default;

  // Called once, on the executor's thread that will run the work, right before the Run of its
  // runner. Hands the data to compute over to that runner. Must not throw.
  virtual void Prepare(int executor) = 0;

  // Called exactly once by the scheduler that owns the work, which then destroys it. If the
  // batch has run and the result is still wanted, `result` is the timing; otherwise it is the
  // reason why the work has no result and never will: DEADLINE_EXCEEDED, CANCELLED or UNAVAILABLE.
  // Runs on one of the scheduler's threads, or on a thread that is inside Cancel, Drain or the
  // destructor. The scheduler holds no lock then, so End may call Submit and Cancel. Must not
  // block.
  virtual void End(absl::StatusOr<Timing> result) = 0;
};

// Computes batches of one group: the items that have the same runner.
class BatchRunner {
 public:
  virtual ~BatchRunner() = default;

  // Computes what the items of one batch handed over when they were prepared on this executor,
  // and blocks until done. An item that cannot be computed learns it from the runner, before its
  // End. Executors may call it at the same time. Must not throw.
  //
  // Any thread may set `stop` while it runs: nobody wants the results any more, and it returns
  // at the next task's end, usually within some milliseconds. Returns whether the batch was
  // computed as a whole, in one go: only then its duration tells what its work takes.
  virtual bool Run(int executor, const std::atomic<bool>& stop) = 0;
};

// One entry of the queue.
struct WorkItem {
  BatchRunner* runner = nullptr;  // outlives the item; items of one runner may share a batch
  uint32_t priority = 0;          // 0 is served before 1
  uint32_t caller = 0;            // a CallerId
  Cost cost;
  absl::Time deadline = absl::InfiniteFuture();  // time of the scheduler's clock
  std::unique_ptr<Work> work;

  // The scheduler sets these when it takes the item.
  uint64_t id = 0;
  absl::Time enqueued;
  absl::Duration expected;  // how long it should run, by the estimate of its group; 0: unknown
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_WORK_ITEM_H_
