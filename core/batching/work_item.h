#ifndef ATTEND_CORE_BATCHING_WORK_ITEM_H_
#define ATTEND_CORE_BATCHING_WORK_ITEM_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attend {

// What running an item takes, as far as batching cares.
struct Cost {
  double flops = 0.0;  // floating-point operations
  int64_t tokens = 0;  // rows
  int64_t bytes = 0;   // memory that the item holds while it waits and runs
};

// What a scheduler is given to run; known to its run function, opaque here.
class Work {
 public:
  virtual ~Work() = default;

  // Called exactly once by the scheduler that owns the work, which then destroys
  // it. OK: the run function has run it. Otherwise it never ran and never will:
  // DEADLINE_EXCEEDED, CANCELLED or UNAVAILABLE. Runs on one of the scheduler's
  // threads, or on a thread that is inside Cancel, Drain or the destructor. Holds
  // no lock: it may call Submit and Cancel. Must not block.
  virtual void End(absl::Status status) = 0;
};

// One entry of the queue.
struct WorkItem {
  // Items with equal keys may share a batch. Opaque: a layer's address, or
  // nullptr for work without weights.
  const void* group = nullptr;
  uint32_t priority = 0;  // 0 is served before 1
  Cost cost;
  absl::Time deadline = absl::InfiniteFuture();  // of the scheduler's clock
  std::unique_ptr<Work> work;

  // Set by the scheduler when it takes the item.
  uint64_t id = 0;
  absl::Time enqueued;
  absl::Duration expected;  // to run, by what its group took before; 0: unknown
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_WORK_ITEM_H_
