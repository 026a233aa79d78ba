// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_EXEC_WORKER_POOL_H_
#define ATTEND_CORE_EXEC_WORKER_POOL_H_

#include <cstdint>
#include <functional>

#include "absl/functional/function_ref.h"
#include "core/base/task_gate.h"
#include "core/exec/topology.h"

namespace attend {

// Threads that run the iterations of one loop at a time.
//
// ParallelFor(n, body) calls body(i, worker) once for each i in [0, n), on the calling thread
// (worker 0) and on the pool's threads (workers 1 .. size()-1), and returns when all calls have
// ended; their writes are then visible to the caller. Iterations start in order of i, but on no
// particular worker, so results must not depend on the worker. `worker` indexes per-thread
// scratch.
//
// If a call of the body throws, no further iterations start, and ParallelFor throws the first
// exception once the others in progress have ended.
//
// A loop can be suspended or stopped between its iterations: see Interruptible. Threads that are
// not the pool's can help with its loops: see Help.
//
// The executor that owns the pool runs one ParallelFor at a time. ParallelFor is not re-entrant.
class WorkerPool {
 public:
  // Called before each iteration, by the thread that runs it.
  using BeforeTask = std::function<void()>;

  // `size` >= 1 counts the calling thread: a pool of size 1 makes no thread. The
  // pool's own threads are pinned to `cpus`, if it is not empty; the calling thread is left alone.
  // `before_task` may be empty. `helpers` is the most threads that may be in Help at a time.
  explicit WorkerPool(int size, CpuList cpus = {}, BeforeTask before_task = {}, int helpers = 0);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int size() const;
  void ParallelFor(int64_t n, absl::FunctionRef<void(int64_t i, int worker)> body);

  // Runs iterations of the pool's loops on the calling thread, as worker `worker`, until `wanted()`
  // is false; blocks until then. `wanted` is asked between two iterations, and at least every
  // millisecond while no loop is open. `worker` is in [size(), size() + helpers), and no other
  // thread's at the time. Any thread but the pool's may call it.
  void Help(int worker, absl::FunctionRef<bool()> wanted);

  // ParallelFor throws this where its gate was stopped. No std::exception, because nothing failed.
  struct Interrupted {};

  // As long as it lives, every iteration passes `gate` before it starts, so that any thread may
  // suspend or stop the loop between its iterations. To be made and destroyed by the pool's
  // caller between loops; not to be nested.
  class Interruptible {
   public:
    Interruptible(WorkerPool& pool, TaskGate& gate);
    ~Interruptible();
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;

   private:
    WorkerPool& pool_;
  };

 private:
  struct State;
  State* state_;  // owned; ended and freed by the destructor
};

}  // namespace attend

#endif  // ATTEND_CORE_EXEC_WORKER_POOL_H_
