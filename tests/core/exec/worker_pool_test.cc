// SPDX-License-Identifier: Apache-2.0
#include "core/exec/worker_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::Each;

TEST(WorkerPool, CallsTheBodyOnceForEachIteration) {
  for (const int size : {1, 2, 5}) {
    WorkerPool pool(size);
    EXPECT_EQ(pool.size(), size);
    for (const int64_t n : {0, 1, 2, 3, 100}) {
      std::vector<int> calls(n, 0);  // not atomic: one worker touches each
      pool.ParallelFor(n, [&](int64_t i, int worker) {
        ++calls[i];
        EXPECT_TRUE(worker >= 0 && worker < size) << worker;
      });
      EXPECT_THAT(calls, Each(1));
    }
  }
}

TEST(WorkerPool, StartsIterationsInOrderWithOneWorker) {
  WorkerPool pool(1);
  std::vector<int64_t> order;
  const std::thread::id caller = std::this_thread::get_id();
  pool.ParallelFor(4, [&](int64_t i, int worker) {
    order.push_back(i);
    EXPECT_EQ(worker, 0);
    EXPECT_EQ(std::this_thread::get_id(), caller);
  });
  EXPECT_THAT(order, ::testing::ElementsAre(0, 1, 2, 3));
}

// Each iteration waits for the other, so two threads must be in the loop.
TEST(WorkerPool, RunsIterationsAtTheSameTime) {
  WorkerPool pool(2);
  std::atomic<int> arrived{0};
  std::vector<int> workers(2);
  pool.ParallelFor(2, [&](int64_t i, int worker) {
    workers[i] = worker;
    arrived.fetch_add(1);
    while (arrived.load() < 2) std::this_thread::yield();
  });
  EXPECT_NE(workers[0], workers[1]);
}

TEST(WorkerPool, PinsItsOwnThreadsAndNotTheCaller) {
  const auto count_cpus = [] {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : -1;
  };
  const int before = count_cpus();
  WorkerPool pool(2, {ReadTopology().groups.front().front()});
  std::atomic<int> arrived{0};
  std::vector<int> cpus(2);
  pool.ParallelFor(2, [&](int64_t, int worker) {
    cpus[worker] = count_cpus();
    arrived.fetch_add(1);
    while (arrived.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(cpus, (std::vector<int>{before, 1}));
}

TEST(WorkerPool, MakesWhatWorkersWroteVisibleToTheCaller) {
  WorkerPool pool(3);
  std::vector<int64_t> values(7);
  for (int64_t round = 0; round < 3000; ++round) {
    pool.ParallelFor(7, [&](int64_t i, int) { values[i] += i + round; });
    for (int64_t i = 0; i < 7; ++i) {
      ASSERT_EQ(values[i], (round + 1) * i + round * (round + 1) / 2);
    }
  }
}

TEST(WorkerPool, EndsWhileItsWorkersSleepOrHaveNeverRun) {
  for (int i = 0; i < 50; ++i) WorkerPool pool(4);
  WorkerPool pool(2);
  pool.ParallelFor(2, [](int64_t, int) {});
}

TEST(WorkerPool, ThrowsTheExceptionOfAnIterationAndStaysUsable) {
  for (const int size : {1, 2, 5}) {
    WorkerPool pool(size);
    for (int round = 0; round < 100; ++round) {
      std::atomic<int> calls{0};
      const auto body = [&](int64_t i, int) {
        calls.fetch_add(1);
        if (i == round % 20) throw std::runtime_error(std::to_string(i));
      };
      try {
        pool.ParallelFor(20, body);
        ADD_FAILURE() << "nothing was thrown";
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), std::to_string(round % 20));
      }
      EXPECT_GT(calls.load(), round % 20);
      std::vector<int> after(20, 0);
      pool.ParallelFor(20, [&](int64_t i, int) { ++after[i]; });
      EXPECT_THAT(after, Each(1));
    }
  }
}

// The second loop must not throw the exceptions that lost in the first.
TEST(WorkerPool, ThrowsOneExceptionWhereEveryIterationThrows) {
  WorkerPool pool(4);
  for (int round = 0; round < 200; ++round) {
    EXPECT_THROW(pool.ParallelFor(8, [](int64_t, int) { throw std::bad_alloc(); }), std::bad_alloc);
    pool.ParallelFor(8, [](int64_t, int) {});
  }
}

TEST(WorkerPool, StartsNoIterationOnceItsGateIsStopped) {
  for (const int size : {1, 2, 5}) {
    WorkerPool pool(size);
    TaskGate gate;
    std::atomic<int> calls{0};
    {
      const WorkerPool::Interruptible interruptible(pool, gate);
      pool.ParallelFor(3, [&](int64_t, int) { calls.fetch_add(1); });
      EXPECT_EQ(calls, 3);
      const auto body = [&](int64_t, int) {
        calls.fetch_add(1);
        gate.Stop();
      };
      EXPECT_THROW(pool.ParallelFor(1000, body), WorkerPool::Interrupted);
      EXPECT_LE(calls, 3 + size);  // each worker is in one iteration at most
      calls = 0;
      for (const int64_t n : {1, 2, 7}) {
        EXPECT_THROW(pool.ParallelFor(n, body), WorkerPool::Interrupted);
      }
      EXPECT_EQ(calls, 0);
    }
    pool.ParallelFor(7, [&](int64_t, int) { calls.fetch_add(1); });
    EXPECT_EQ(calls, 7) << "the gate still counts";
  }
}

// Closes a gate in the iterations of a loop, and changes it from a thread of its own while the
// loop is suspended.
class Suspender {
 public:
  // `change` is called while the gate is closed.
  Suspender(TaskGate& gate, int workers, std::function<void()> change)
      : gate_(gate), workers_(workers), change_(std::move(change)), thread_([this] { Watch(); }) {}

  ~Suspender() {
    ended_.store(true);
    thread_.join();
  }

  // To be called by each iteration; closes the gate if `suspends` is set.
  void OnIteration(bool suspends) {
    begun_.fetch_add(1);
    if (!suspends) return;
    MutexLock lock(mutex_);
    gate_.Close();
    begun_at_close_ = begun_.load();
    ++closed_;
  }

  int64_t closed() const {
    MutexLock lock(mutex_);
    return closed_;
  }

 private:
  void Watch() {
    while (!ended_.load()) {
      // A loop that does not wait gets the time to begin too many iterations.
      for (int i = 0; i < 20; ++i) std::this_thread::yield();
      MutexLock lock(mutex_);
      if (begun_at_close_ < 0) continue;
      // The other workers may have passed the gate before it was closed.
      EXPECT_LE(begun_.load() - begun_at_close_, workers_ - 1);
      begun_at_close_ = -1;
      change_();
    }
  }

  TaskGate& gate_;
  const int64_t workers_;
  const std::function<void()> change_;
  std::atomic<int64_t> begun_{0};  // iterations
  std::atomic<bool> ended_{false};
  mutable Mutex mutex_;
  int64_t begun_at_close_ ABSL_GUARDED_BY(mutex_) = -1;  // < 0: the gate is open
  int64_t closed_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;  // last: it uses all of the above
};

TEST(WorkerPool, RunsEachIterationOnceThoughItIsSuspendedAtRandomOnes) {
  constexpr unsigned kSeed = 20251128;
  constexpr int64_t kCount = 300;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  for (const int size : {1, 2, 5}) {
    SCOPED_TRACE(testing::Message() << "workers " << size);
    WorkerPool pool(size);
    TaskGate gate;
    const WorkerPool::Interruptible interruptible(pool, gate);
    Suspender suspender(gate, size, [&] { gate.Open(); });
    for (int round = 0; round < 10; ++round) {
      std::vector<char> suspends(kCount);
      for (char& one : suspends) one = random() % 10 == 0;
      suspends[random() % kCount] = true;
      std::vector<int> calls(kCount, 0);  // not atomic: one worker touches each
      std::vector<int64_t> results(kCount, 0);
      pool.ParallelFor(kCount, [&](int64_t i, int) {
        suspender.OnIteration(suspends[i] != 0);
        ++calls[i];
        results[i] = i * i;
      });
      EXPECT_THAT(calls, Each(1));
      for (int64_t i = 0; i < kCount; ++i) ASSERT_EQ(results[i], i * i);
    }
    EXPECT_GE(suspender.closed(), 10);
  }
}

TEST(WorkerPool, EndsASuspendedLoopWhenItsGateIsStopped) {
  for (const int size : {1, 2, 5}) {
    SCOPED_TRACE(testing::Message() << "workers " << size);
    WorkerPool pool(size);
    for (const int64_t at : {0, 3, 50}) {
      TaskGate gate;
      const WorkerPool::Interruptible interruptible(pool, gate);
      Suspender suspender(gate, size, [&] { gate.Stop(); });
      const auto body = [&](int64_t i, int) {
        suspender.OnIteration(i == at);
        // Otherwise the others could end the loop before the one that closes the gate.
        while (i > at && suspender.closed() == 0) std::this_thread::yield();
      };
      EXPECT_THROW(pool.ParallelFor(1000, body), WorkerPool::Interrupted);
      EXPECT_EQ(suspender.closed(), 1);
    }
  }
}

// The gate is closed before the loop begins, so that not even the first iteration may run.
TEST(WorkerPool, BeginsALoopOnlyOnceItsGateIsOpen) {
  for (const int size : {1, 2, 5}) {
    WorkerPool pool(size);
    for (const int64_t n : {1, 2, 7}) {
      TaskGate gate;
      gate.Close();
      const WorkerPool::Interruptible interruptible(pool, gate);
      std::atomic<bool> opened{false};
      std::thread opener([&] {
        for (int i = 0; i < 100; ++i) std::this_thread::yield();
        opened.store(true);
        gate.Open();
      });
      std::atomic<int> early{0}, calls{0};
      pool.ParallelFor(n, [&](int64_t, int) {
        calls.fetch_add(1);
        early.fetch_add(opened.load() ? 0 : 1);
      });
      opener.join();
      EXPECT_EQ(early, 0);
      EXPECT_EQ(calls, n);
    }
  }
}

// Helps a pool from threads of its own until it is destroyed.
class HelpingThreads {
 public:
  HelpingThreads(WorkerPool& pool, int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, &pool, worker = pool.size() + i] {
        pool.Help(worker, [this] { return wanted_.load(); });
      });
    }
  }
  ~HelpingThreads() {
    wanted_.store(false);
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> wanted_{true};
  std::vector<std::thread> threads_;
};

// Each iteration waits for the others, so all threads must be in the loop.
TEST(WorkerPool, LetsHelpersRunIterationsAtTheSameTime) {
  for (const int size : {1, 2}) {
    WorkerPool pool(size, {}, {}, /*helpers=*/2);
    const HelpingThreads helpers(pool, 2);
    for (int loop = 0; loop < 20; ++loop) {
      const int n = size + 2;
      std::atomic<int> arrived{0};
      std::vector<int> workers(static_cast<size_t>(n));
      pool.ParallelFor(n, [&](int64_t i, int worker) {
        workers[static_cast<size_t>(i)] = worker;
        arrived.fetch_add(1);
        while (arrived.load() < n) std::this_thread::yield();
      });
      std::sort(workers.begin(), workers.end());
      for (int i = 0; i < n; ++i) EXPECT_EQ(workers[static_cast<size_t>(i)], i);
    }
  }
}

TEST(WorkerPool, LosesNoIterationThoughHelpersComeAndGo) {
  const unsigned seed = 20261128;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  WorkerPool pool(2, {}, {}, /*helpers=*/2);
  for (int round = 0; round < 30; ++round) {
    std::atomic<int> asked{0};
    const int leave_after = static_cast<int>(random() % 40);
    std::atomic<bool> over{false};
    const auto wanted = [&] { return !over.load() && asked.fetch_add(1) < leave_after; };
    std::thread first([&] { pool.Help(2, wanted); });
    std::thread second([&] { pool.Help(3, wanted); });
    for (const int64_t n : {0, 1, 2, 50, 3}) {
      std::vector<int> calls(static_cast<size_t>(n), 0);  // not atomic: one worker touches each
      pool.ParallelFor(n, [&](int64_t i, int) { ++calls[static_cast<size_t>(i)]; });
      EXPECT_THAT(calls, Each(1));
    }
    over.store(true);
    first.join();
    second.join();
  }
}

TEST(WorkerPool, TakesTheExceptionOfAHelper) {
  WorkerPool pool(1, {}, {}, /*helpers=*/1);
  const HelpingThreads helpers(pool, 1);
  std::atomic<bool> thrown{false};
  const auto body = [&](int64_t, int worker) {
    if (worker == 1) {
      thrown.store(true);
      throw std::runtime_error("a helper's");
    }
    while (!thrown.load()) std::this_thread::yield();
  };
  EXPECT_THROW(pool.ParallelFor(2, body), std::runtime_error);
}

TEST(WorkerPool, StopsHelpersWithItsGate) {
  WorkerPool pool(1, {}, {}, /*helpers=*/1);
  TaskGate gate;
  const WorkerPool::Interruptible interruptible(pool, gate);
  const HelpingThreads helpers(pool, 1);
  std::atomic<int> calls{0};
  const auto body = [&](int64_t, int worker) {
    calls.fetch_add(1);
    if (worker == 0) {
      while (calls.load() < 2) std::this_thread::yield();  // until the helper is in the loop
      gate.Stop();
    } else {
      while (!gate.stopped()) std::this_thread::yield();
    }
  };
  EXPECT_THROW(pool.ParallelFor(1000, body), WorkerPool::Interrupted);
  EXPECT_EQ(calls, 2);
}

TEST(WorkerPool, LetsAHelperGoThatIsNotWantedBetweenTwoIterations) {
  WorkerPool pool(1, {}, {}, /*helpers=*/1);
  std::atomic<bool> wanted{true}, left{false};
  std::atomic<int> helped{0};
  std::thread helper([&] {
    pool.Help(1, [&] { return wanted.load(); });
    left.store(true);
  });
  pool.ParallelFor(100, [&](int64_t i, int worker) {
    if (worker == 1) {
      helped.fetch_add(1);
      wanted.store(false);
    } else if (i > 0) {
      while (!left.load()) std::this_thread::yield();
    } else {
      while (helped.load() == 0) std::this_thread::yield();
    }
  });
  helper.join();
  EXPECT_EQ(helped, 1);
}

}  // namespace
}  // namespace attend
