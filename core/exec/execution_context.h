// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_EXEC_EXECUTION_CONTEXT_H_
#define ATTEND_CORE_EXEC_EXECUTION_CONTEXT_H_

#include <cstdint>
#include <deque>
#include <utility>

#include "core/base/arena.h"
#include "core/exec/worker_pool.h"

namespace attend {

// How much working memory a context keeps between batches, so that a batch like the previous one
// allocates nothing.
struct RetainedMemory {
  // Worker 0's arena holds the matrices of a layer's batch: 4,096 tokens of width 768 in
  // float32 need about 96 MiB.
  int64_t caller_bytes = int64_t{100} << 20;

  // Bytes per further worker. Four query tiles of D = Dv = 128 need about 400 KiB.
  int64_t worker_bytes = int64_t{4} << 20;

  int64_t TotalBytes(int workers) const { return caller_bytes + (workers - 1) * worker_bytes; }

  // These limits, lowered if a context of `workers` >= 1 would otherwise retain more than
  // `total_bytes`: at most four fifths go to worker 0, the others share one fifth.
  static RetainedMemory Within(int64_t total_bytes, int workers);
};

// The resources that one executor computes with: its worker threads, and working memory for each
// of them. Kernels and layers keep no state of their own, so several contexts may run at the
// same time. The executor's thread owns the context and is worker 0.
//
// Thread-compatible; within a ParallelFor, each worker uses the arena of its number.
class ExecutionContext {
 public:
  // `workers` counts the thread that owns the context; >= 1. The other threads are pinned to
  // `cpus`, if it is not empty. `before_task` and `helpers` are the pool's; each helper has an
  // arena, too, but nothing of it is retained.
  explicit ExecutionContext(int workers, const RetainedMemory& retained = {}, CpuList cpus = {},
                            WorkerPool::BeforeTask before_task = {}, int helpers = 0)
      : retained_(retained),
        pool_(workers, std::move(cpus), std::move(before_task), helpers),
        arenas_(workers + helpers) {}

  int workers() const { return pool_.size(); }
  WorkerPool& pool() { return pool_; }
  Arena& arena(int worker) { return arenas_[worker]; }

  // Frees the memory of every arena that holds more than it may retain. To be called between
  // batches.
  void Trim();

 private:
  const RetainedMemory retained_;
  WorkerPool pool_;
  std::deque<Arena> arenas_;  // one per worker and helper; a deque, because arenas do not move
};

}  // namespace attend

#endif  // ATTEND_CORE_EXEC_EXECUTION_CONTEXT_H_
