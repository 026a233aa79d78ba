// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_EXEC_WORKER_POOL_H_
#define ATTEND_CORE_EXEC_WORKER_POOL_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace attend {

// Threads that run the iterations of one loop at a time.
//
// ParallelFor(n, body) calls body(i, worker) once for each i in [0, n), on the
// calling thread (worker 0) and on the pool's threads (workers 1 .. size()-1),
// and returns when all have ended; what they wrote is then visible to the
// caller. Iterations start in order of i; which worker runs which is not fixed,
// so results must not depend on it. `worker` indexes per-thread scratch.
//
// One ParallelFor at a time: the executor that owns the pool calls it. Not
// re-entrant. Body must not throw.
class WorkerPool {
 public:
  // `size` counts the calling thread: 1 makes no thread at all. size >= 1.
  explicit WorkerPool(int size);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int size() const;
  void ParallelFor(int64_t n, absl::FunctionRef<void(int64_t i, int worker)> body);

 private:
  struct State;
  State* state_;  // owned; ended and freed by the destructor
};

}  // namespace attend

#endif  // ATTEND_CORE_EXEC_WORKER_POOL_H_
