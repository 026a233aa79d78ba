// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_WORK_ITEM_H_
#define ATTEND_CORE_BATCHING_WORK_ITEM_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/task_gate.h"
#include "core/batching/priority.h"

namespace attend {

// The resources that running an item takes, as far as batching is concerned.
struct Cost {
  // The predicted time of the item on an executor whose workers do nothing else, without the time
  // that its batch takes in any case (BatchRunner::batch_seconds).
  double seconds = 0.0;
  double flops = 0.0;  // floating-point operations; only reported
  int64_t tokens = 0;  // query rows
  int64_t bytes = 0;   // memory that the item holds while it waits and runs

  Cost& operator+=(const Cost& other) {
    seconds += other.seconds;
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

  // Called once, on the thread of the lane that will run the work, right before the Run of its
  // runner. Hands the data to compute over to that runner. Must not throw.
  virtual void Prepare(int lane) = 0;

  // Called exactly once by the scheduler that owns the work, which then destroys it. If the
  // batch has run and the result is still wanted, `result` is the timing; otherwise it is the
  // reason why the work has no result and never will: DEADLINE_EXCEEDED, CANCELLED, UNAVAILABLE
  // or RESOURCE_EXHAUSTED (other items took its place in the queue). Runs on one of the
  // scheduler's threads, or on a thread that is inside Submit, Cancel, Drain or the destructor.
  // The scheduler holds no lock then, so End may call Submit and Cancel. Must not block.
  virtual void End(absl::StatusOr<Timing> result) = 0;
};

// Computes batches of one kind of work, such as all requests of one layer.
class BatchRunner {
 public:
  virtual ~BatchRunner() = default;

  // The predicted time that a batch takes besides that of its items, for instance to read the
  // weights of a layer.
  virtual double batch_seconds() const { return 0.0; }

  // Computes what the items of one batch handed over when they were prepared on this lane, and
  // blocks until done. An item that cannot be computed learns it from the runner, before its End.
  // Lanes may call it at the same time. Must not throw.
  //
  // Passes `gate`, which any thread may close or stop, before each task. A task is usually some
  // milliseconds long. Once the gate is stopped nobody wants the results any more. Returns
  // whether the batch was computed as a whole, in one go: only then its duration tells what its
  // work takes.
  virtual bool Run(int lane, TaskGate& gate) = 0;
};

// Short work is what an executor finishes at once; long work is suspended to let it pass.
enum class WorkClass : uint8_t { kShort, kLong };

// One entry of the queue.
struct WorkItem {
  BatchRunner* runner = nullptr;  // outlives the item; items of one runner may share a batch
  Priority priority = Priority::kNormal;
  uint32_t caller = 0;  // those who ask for one runner are served in turn
  Cost cost;
  absl::Time deadline = absl::InfiniteFuture();  // time of the scheduler's clock
  std::unique_ptr<Work> work;

  // The scheduler sets these when it takes the item.
  uint64_t id = 0;
  absl::Time enqueued;
  WorkClass work_class = WorkClass::kShort;
  absl::Duration expected;        // Cost::seconds, corrected by what past work took
  absl::Duration batch_expected;  // BatchRunner::batch_seconds, corrected likewise
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_WORK_ITEM_H_
