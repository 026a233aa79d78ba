// SPDX-License-Identifier: Apache-2.0
#include "core/exec/worker_pool.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/mutex.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace attend {
namespace {

// Polls before a thread blocks: some ten microseconds, about the cost of a futex wake-up. The
// gaps between the loops of one batch are shorter than that; the gaps between batches are not.
constexpr int kSpins = 1000;

// The longest single wait of a helper for a loop, before it asks again whether it is wanted.
constexpr std::chrono::milliseconds kMaxHelperWait{1};

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

// Runs one loop at a time. `ticket` is odd while a loop is open and grows by one at each opening
// and closing. A worker enters by raising `inside` and then reading the ticket; the caller
// closes the ticket and then waits for `inside` to be 0. Both orders are sequentially
// consistent, so either the worker sees the closed ticket and leaves without touching the loop,
// or the caller sees it inside and waits. A worker that sleeps through a whole loop delays
// nobody.
struct WorkerPool::State {
  State(int n, CpuList pinned, BeforeTask before, int max_helpers)
      : size(n),
        helpers(max_helpers),
        cpus(std::move(pinned)),
        before_task(std::move(before)),
        spins(n <= MaxSpinners() ? kSpins : 0) {}

  int MaxSpinners() const {
    return static_cast<int>(cpus.empty() ? std::thread::hardware_concurrency() : cpus.size());
  }

  const int size;
  const int helpers;
  const CpuList cpus;
  const BeforeTask before_task;
  const int spins;  // 0 where threads outnumber cores: spinning would only steal

  // The open loop. The caller writes it while the ticket is even and every worker that saw an
  // odd one has left, so that no thread reads it then.
  const absl::FunctionRef<void(int64_t, int)>* body = nullptr;
  int64_t count = 0;

  // Written between loops, like the body.
  TaskGate* gate = nullptr;

  // Set once per loop, by the thread whose exchange of `failed` gave false. The caller reads it
  // after all workers have left.
  std::exception_ptr error;
  std::atomic<bool> failed{false};

  alignas(64) std::atomic<int64_t> next{0};
  alignas(64) std::atomic<uint64_t> ticket{0};
  std::atomic<int> inside{0};
  std::atomic<int> sleepers{0};
  std::atomic<bool> caller_waits{false};
  std::atomic<bool> stop{false};

  Mutex mutex;
  CondVar wake;  // ticket or stop changed
  CondVar idle;  // inside fell to 0 while the caller waits

  std::vector<std::thread> threads;

  // Until `wanted`, if there is one, is false.
  void Iterate(int worker, const absl::FunctionRef<bool()>* wanted = nullptr) {
    try {
      while (wanted == nullptr || (*wanted)()) {
        const int64_t i = next.fetch_add(1);
        if (i >= count) return;
        BeginTask();
        (*body)(i, worker);
      }
    } catch (...) {
      next.store(count);  // ends the loop of the others
      if (!failed.exchange(true)) error = std::current_exception();
    }
  }

  void BeginTask() const {
    if (before_task) before_task();
    if (gate != nullptr && !gate->Pass()) throw Interrupted();
  }

  void Rethrow() {
    if (!failed.load()) return;
    failed.store(false);
    std::rethrow_exception(std::exchange(error, nullptr));
  }

  bool SpinForTicketAfter(uint64_t seen) const {
    for (int spin = 0; spin < spins; ++spin) {
      if (ticket.load() != seen || stop.load()) return true;
      Pause();
    }
    return false;
  }

  uint64_t AwaitTicketAfter(uint64_t seen) {
    if (SpinForTicketAfter(seen)) return ticket.load();
    MutexLock lock(mutex);
    sleepers.fetch_add(1);
    while (ticket.load() == seen && !stop.load()) wake.Wait(mutex);
    sleepers.fetch_sub(1);
    return ticket.load();
  }

  // Takes part in the loop of this ticket, if it is still open.
  void Enter(uint64_t seen, int worker, const absl::FunctionRef<bool()>* wanted = nullptr) {
    if (seen % 2 == 0) return;
    inside.fetch_add(1);
    if (ticket.load() == seen) Iterate(worker, wanted);
    if (inside.fetch_sub(1) == 1 && caller_waits.load()) {
      MutexLock lock(mutex);
      idle.NotifyOne();
    }
  }

  void Work(int worker) {
    PinThisThread(cpus);
    uint64_t seen = 0;
    while (!stop.load()) {
      seen = AwaitTicketAfter(seen);
      Enter(seen, worker);
    }
  }

  void Help(int worker, absl::FunctionRef<bool()> wanted) {
    uint64_t seen = 0;
    while (wanted()) {
      if (!SpinForTicketAfter(seen)) {
        MutexLock lock(mutex);
        sleepers.fetch_add(1);
        if (ticket.load() == seen) wake.WaitFor(mutex, kMaxHelperWait);
        sleepers.fetch_sub(1);
      }
      seen = ticket.load();
      Enter(seen, worker, &wanted);
    }
  }

  void AwaitIdle() {
    for (int spin = 0; spin < spins; ++spin) {
      if (inside.load() == 0) return;
      Pause();
    }
    MutexLock lock(mutex);
    caller_waits.store(true);
    while (inside.load() != 0) idle.Wait(mutex);
    caller_waits.store(false);
  }

  void WakeSleepers() {
    if (sleepers.load() == 0) return;
    MutexLock lock(mutex);
    wake.NotifyAll();
  }
};

WorkerPool::WorkerPool(int size, CpuList cpus, BeforeTask before_task, int helpers)
    : state_(new State(size, std::move(cpus), std::move(before_task), helpers)) {
  for (int worker = 1; worker < size; ++worker) {
    state_->threads.emplace_back([state = state_, worker] { state->Work(worker); });
  }
}

WorkerPool::~WorkerPool() {
  state_->stop.store(true);
  state_->WakeSleepers();
  for (std::thread& thread : state_->threads) thread.join();
  delete state_;
}

int WorkerPool::size() const {
  return state_->size;
}

WorkerPool::Interruptible::Interruptible(WorkerPool& pool, TaskGate& gate) : pool_(pool) {
  pool_.state_->gate = &gate;
}

WorkerPool::Interruptible::~Interruptible() {
  pool_.state_->gate = nullptr;
}

void WorkerPool::ParallelFor(int64_t n, absl::FunctionRef<void(int64_t i, int worker)> body) {
  if (n <= 1 || state_->size + state_->helpers == 1) {
    for (int64_t i = 0; i < n; ++i) {
      state_->BeginTask();
      body(i, 0);
    }
    return;
  }
  state_->body = &body;
  state_->count = n;
  state_->next.store(0);
  state_->ticket.fetch_add(1);
  state_->WakeSleepers();
  state_->Iterate(0);
  state_->ticket.fetch_add(1);
  state_->AwaitIdle();
  state_->Rethrow();
}

void WorkerPool::Help(int worker, absl::FunctionRef<bool()> wanted) {
  state_->Help(worker, wanted);
}

}  // namespace attend
