#ifndef ATTEND_CORE_EXEC_EXECUTION_CONTEXT_H_
#define ATTEND_CORE_EXEC_EXECUTION_CONTEXT_H_

#include <cstdint>
#include <deque>

#include "core/base/arena.h"
#include "core/exec/worker_pool.h"

namespace attend {

// What one executor computes with: its worker threads, and working memory for each of
// them. Kernels and layers keep no state of their own, so several contexts may run at the
// same time. The executor's thread owns it and is worker 0.
//
// Thread-compatible; within a ParallelFor, each worker uses the arena of its number.
class ExecutionContext {
 public:
  // Between batches, so much memory stays with worker 0, whose arena holds the matrices of
  // a layer's batch (4,096 tokens of width 768 in float32 need about 96 MiB), and with each
  // other worker (four query tiles of D = Dv = 128 need about 400 KiB).
  static constexpr int64_t kMaxRetainedByCaller = int64_t{100} << 20;
  static constexpr int64_t kMaxRetainedByWorker = int64_t{4} << 20;

  // `workers` counts the thread that owns the context; >= 1.
  explicit ExecutionContext(int workers) : pool_(workers), arenas_(workers) {}

  int workers() const { return pool_.size(); }
  WorkerPool& pool() { return pool_; }
  Arena& arena(int worker) { return arenas_[worker]; }

  // Gives back what arenas hold beyond their bounds. To be called between batches.
  void Trim();

  // The most that a context of so many workers retains between batches.
  static int64_t MaxRetainedBytes(int workers) {
    return kMaxRetainedByCaller + (workers - 1) * kMaxRetainedByWorker;
  }

 private:
  WorkerPool pool_;
  std::deque<Arena> arenas_;  // one per worker; a deque, because arenas do not move
};

}  // namespace attend

#endif  // ATTEND_CORE_EXEC_EXECUTION_CONTEXT_H_
