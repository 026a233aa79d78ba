// SPDX-License-Identifier: Apache-2.0
#include "core/exec/worker_pool.h"

#include <atomic>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

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

TEST(WorkerPool, StartsNoIterationOnceItIsInterrupted) {
  for (const int size : {1, 2, 5}) {
    WorkerPool pool(size);
    std::atomic<bool> stop{false};
    std::atomic<int> calls{0};
    {
      const WorkerPool::Interruptible interruptible(pool, stop);
      pool.ParallelFor(3, [&](int64_t, int) { calls.fetch_add(1); });
      EXPECT_EQ(calls, 3);
      const auto body = [&](int64_t, int) {
        calls.fetch_add(1);
        stop = true;
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
    EXPECT_EQ(calls, 7) << "the flag still counts";
  }
}

}  // namespace
}  // namespace attend
