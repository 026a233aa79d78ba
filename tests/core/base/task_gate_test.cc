// SPDX-License-Identifier: Apache-2.0
#include "core/base/task_gate.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::Each;

constexpr int kThreads = 3;

// What each of several threads learnt that passed one gate.
struct Passage {
  bool result = false;
  bool was_changed = false;  // whether `changed` was already set when Pass returned
};

// Lets threads pass the gate, and calls `change` once all of them have begun.
template <typename Change>
std::vector<Passage> PassFromThreads(TaskGate& gate, const Change& change) {
  std::atomic<int> begun{0};
  std::atomic<bool> changed{false};
  std::vector<Passage> passages(kThreads);
  std::vector<std::thread> threads;
  for (Passage& passage : passages) {
    threads.emplace_back([&] {
      begun.fetch_add(1);
      passage.result = gate.Pass();
      passage.was_changed = changed.load();
    });
  }
  while (begun.load() < kThreads) std::this_thread::yield();
  // A thread that does not wait gets the time to return too early.
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  changed.store(true);
  change();
  for (std::thread& thread : threads) thread.join();
  return passages;
}

std::vector<bool> Results(const std::vector<Passage>& passages) {
  std::vector<bool> results;
  for (const Passage& passage : passages) results.push_back(passage.result);
  return results;
}

std::vector<bool> Waited(const std::vector<Passage>& passages) {
  std::vector<bool> waited;
  for (const Passage& passage : passages) waited.push_back(passage.was_changed);
  return waited;
}

TEST(TaskGate, IsOpenAtFirst) {
  TaskGate gate;
  EXPECT_TRUE(gate.open());
  EXPECT_FALSE(gate.stopped());
  EXPECT_TRUE(gate.Pass());
}

TEST(TaskGate, BlocksWhileItIsClosedAndLetsEveryThreadPassOnceItOpens) {
  TaskGate gate;
  for (int round = 0; round < 20; ++round) {
    gate.Close();
    EXPECT_FALSE(gate.open());
    const std::vector<Passage> passages = PassFromThreads(gate, [&] { gate.Open(); });
    EXPECT_THAT(Waited(passages), Each(true));
    EXPECT_THAT(Results(passages), Each(true));
  }
}

TEST(TaskGate, ClosesTwiceAndOpensAtOnce) {
  TaskGate gate;
  gate.Close();
  gate.Close();
  gate.Open();
  EXPECT_TRUE(gate.Pass());
  gate.Open();
  gate.Close();
  EXPECT_FALSE(gate.open());
}

TEST(TaskGate, WakesTheThreadsThatWaitWhenItIsStopped) {
  TaskGate gate;
  gate.Close();
  const std::vector<Passage> passages = PassFromThreads(gate, [&] { gate.Stop(); });
  EXPECT_THAT(Waited(passages), Each(true));
  EXPECT_THAT(Results(passages), Each(false));
}

TEST(TaskGate, StaysStoppedWhateverFollows) {
  TaskGate gate;
  gate.Stop();
  EXPECT_TRUE(gate.stopped());
  EXPECT_FALSE(gate.Pass());
  gate.Open();
  EXPECT_FALSE(gate.Pass());
  gate.Close();  // must not block the next Pass
  EXPECT_FALSE(gate.Pass());
  gate.Stop();
  EXPECT_FALSE(gate.Pass());
  EXPECT_FALSE(gate.open());
  EXPECT_TRUE(gate.stopped());
}

TEST(TaskGate, ServesAnotherComputationOnceItIsReset) {
  TaskGate gate;
  gate.Stop();
  gate.Reset(true);
  EXPECT_TRUE(gate.open());
  EXPECT_FALSE(gate.stopped());
  EXPECT_TRUE(gate.Pass());
  gate.Stop();
  gate.Reset(false);
  EXPECT_FALSE(gate.open());
  EXPECT_FALSE(gate.stopped());
  const std::vector<Passage> passages = PassFromThreads(gate, [&] { gate.Open(); });
  EXPECT_THAT(Waited(passages), Each(true));
  EXPECT_THAT(Results(passages), Each(true));
}

}  // namespace
}  // namespace attend
