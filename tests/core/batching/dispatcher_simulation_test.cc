// SPDX-License-Identifier: Apache-2.0

// Simulates the dispatcher, that is all decisions of the scheduler, on a clock of its own. Each
// seed is a small world of its own: callers and runners, floods and bursts, wrong predictions,
// failing batches, cancels, jumps of the clock, a drain. A failing seed is printed; set
// ATTEND_SIMULATION_SEED to run it alone.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "core/base/status.h"
#include "gtest/gtest.h"
#include "tests/core/batching/simulation.h"

namespace attend {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kSeeds = 3000;
#else
constexpr uint64_t kSeeds = 100000;
#endif

class World {
 public:
  explicit World(uint64_t seed) : random_(seed), simulation_(MakeOptions()) {
    for (int i = 0; i < 3; ++i) {
      const double truth = std::exp2(Uniform(-1.0, 1.0));
      runners_.push_back(
          std::make_unique<SimulatedRunner>(Chance(0.5) ? Uniform(0.0, 0.002) : 0.0, truth));
    }
    callers_ = Pick(1, 5);
    flooder_ = Chance(0.3) ? 1 : 0;
    failing_ = Chance(0.3);
    simulation_.noise = [this] {
      if (failing_ && Chance(0.1)) return -1.0;
      return std::exp2(Uniform(-0.5, 0.5));
    };
  }

  // Returns the first violation; empty if there is none.
  std::string Run() {
    const int steps = Pick(5, 50);
    const int drain_at = Chance(0.2) ? Pick(1, steps) : steps + 1;
    for (int step = 0; step < steps; ++step) {
      if (step == drain_at) simulation_.EndDrain();
      Step();
    }
    simulation_.RunToEnd();
    return simulation_.violation();
  }

 private:
  SchedulerOptions MakeOptions() {
    SchedulerOptions options;
    options.batch.max_requests = Pick(1, 16);
    options.batch.max_tokens = Pick(1, 64);
    options.queue.max_requests = Pick(1, 40);
    options.queue.max_bytes = 100 * Pick(1, 60);
    options.queue.max_expected = absl::Milliseconds(Pick(5, 5000));
    options.queue.target_delay = absl::Milliseconds(Pick(5, 200));
    options.turns.long_share = Chance(0.2) ? 0.0 : Uniform(0.05, 0.6);
    options.aging = absl::Milliseconds(Pick(1, 1000));
    options.executors = static_cast<int>(Pick(1, 2));
    return options;
  }

  void Step() {
    const double kind = Uniform(0.0, 1.0);
    if (kind < 0.15) {
      for (int64_t i = Pick(2, 12); i > 0; --i) Submit();  // a burst
    } else if (kind < 0.7) {
      Submit();
    } else if (kind < 0.85) {
      Cancel(Chance(0.1) ? 8 : 1);
    } else if (kind < 0.87) {
      simulation_.Jump(absl::Seconds(Uniform(-2.0, 5.0)));
    }
    simulation_.Advance(absl::Milliseconds(Uniform(0.0, 1.0) * std::exp2(Uniform(-2.0, 6.0))));
  }

  void Submit() {
    // Mostly short, some long.
    const double seconds = 1e-4 * std::exp2(Uniform(0.0, Chance(0.2) ? 12.0 : 7.0));
    const absl::Duration time_left = Chance(0.5)
                                         ? absl::InfiniteDuration()
                                         : absl::Seconds(seconds * std::exp2(Uniform(-2.0, 6.0)));
    const auto caller =
        flooder_ != 0 && Chance(0.8) ? flooder_ : static_cast<uint32_t>(Pick(1, callers_));
    simulation_.Submit(runners_[static_cast<size_t>(Pick(0, 2))].get(), seconds, caller,
                       static_cast<Priority>(Pick(0, 2)), time_left);
  }

  void Cancel(int count) {
    const auto size = static_cast<int64_t>(simulation_.items().size());
    for (int i = 0; i < count && size > 0; ++i) {
      const int64_t back = std::min<int64_t>(Pick(1, 20), size);
      simulation_.Cancel(
          const_cast<SimulatedItem&>(simulation_.items()[static_cast<size_t>(size - back)]));
    }
  }

  double Uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_);
  }
  int64_t Pick(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  bool Chance(double probability) { return Uniform(0.0, 1.0) < probability; }

  std::mt19937_64 random_;
  Simulation simulation_;
  std::vector<std::unique_ptr<SimulatedRunner>> runners_;
  int64_t callers_ = 1;
  uint32_t flooder_ = 0;
  bool failing_ = false;
};

TEST(DispatcherSimulation, KeepsItsPromisesInEveryWorld) {
  uint64_t first = 1, last = kSeeds;
  if (const char* text = std::getenv("ATTEND_SIMULATION_SEED")) {
    ASSERT_TRUE(absl::SimpleAtoi(text, &first)) << text;
    last = first;
  }
  for (uint64_t seed = first; seed <= last; ++seed) {
    const std::string violation = World(seed).Run();
    ASSERT_EQ(violation, "") << "seed " << seed;
  }
}

SchedulerOptions Options() {
  SchedulerOptions options;
  options.batch.max_requests = 16;
  options.batch.max_tokens = 1000;
  return options;
}

// For a while, keeps items in the queue that take 50 ms of each caller. `seconds` is the time of
// one item, by caller.
void Flood(Simulation& simulation, SimulatedRunner* runner, const std::vector<double>& seconds,
           absl::Duration duration, const std::vector<Priority>& priorities) {
  const absl::Time end = simulation.now() + duration;
  while (simulation.now() < end) {
    for (size_t i = 0; i < seconds.size(); ++i) {
      const auto caller = static_cast<uint32_t>(i + 1);
      int64_t waiting = 0;
      for (auto it = simulation.items().rbegin(); it != simulation.items().rend(); ++it) {
        if (it->arrival < simulation.now() - absl::Seconds(5)) break;
        waiting += it->caller == caller && it->ends == 0 && it->start == absl::InfiniteFuture();
      }
      for (; static_cast<double>(waiting) * seconds[i] < 0.05; ++waiting) {
        simulation.Submit(runner, seconds[i], caller, priorities[i]);
      }
    }
    simulation.Advance(absl::Milliseconds(2));
  }
}

// Without a limit on delays, so that the flood is admitted.
SchedulerOptions PatientOptions() {
  SchedulerOptions options = Options();
  options.queue.target_delay = absl::Hours(1);
  options.queue.max_expected = absl::Hours(1);
  return options;
}

TEST(DispatcherSimulation, SharesTheTimeEquallyAmongCallersInEverySecond) {
  for (const std::vector<double>& seconds : std::vector<std::vector<double>>{
           {0.0005, 0.004}, {0.001, 0.001, 0.009}, {0.0001, 0.0095, 0.002, 0.0003}}) {
    SimulatedRunner runner(0.0002);
    Simulation simulation(PatientOptions());
    const std::vector<Priority> priorities(seconds.size(), Priority::kNormal);
    for (int second = 0; second < 5; ++second) {
      std::vector<double> before(seconds.size());
      for (size_t i = 0; i < seconds.size(); ++i) {
        before[i] = simulation.ServedSeconds(WorkClass::kShort, static_cast<uint32_t>(i + 1));
      }
      Flood(simulation, &runner, seconds, absl::Seconds(1), priorities);
      const double fair = 1.0 / static_cast<double>(seconds.size());
      for (size_t i = 0; i < seconds.size(); ++i) {
        const double share =
            simulation.ServedSeconds(WorkClass::kShort, static_cast<uint32_t>(i + 1)) - before[i];
        EXPECT_NEAR(share, fair, 0.1 * fair)
            << "caller " << i + 1 << " of " << seconds.size() << " in second " << second;
      }
    }
    EXPECT_EQ(simulation.violation(), "");
  }
}

TEST(DispatcherSimulation, LetsOneCallersFloodDelayAnotherByTwoBatches) {
  SimulatedRunner runner(0.0002);
  SchedulerOptions options = Options();
  options.queue.max_requests = 64;
  Simulation simulation(options);
  absl::Duration longest;
  for (int i = 0; i < 300; ++i) {
    for (int k = 0; k < 40; ++k) simulation.Submit(&runner, 0.002, 1);
    const SimulatedItem& item = simulation.Submit(&runner, 0.001, 2);
    ASSERT_NE(item.id, 0u) << item.status;
    simulation.Advance(absl::Milliseconds(20));
    ASSERT_EQ(item.ends, 1);
    ASSERT_TRUE(item.status.ok()) << item.status;
    longest = std::max(longest, item.end - item.arrival);
  }
  EXPECT_LE(longest, 2 * options.batch.max_time);
  EXPECT_EQ(simulation.violation(), "");
}

TEST(DispatcherSimulation, ServesLowPriorityOnceItHasAged) {
  SimulatedRunner busy, other;
  SchedulerOptions options = PatientOptions();
  options.aging = absl::Milliseconds(200);
  Simulation simulation(options);
  const std::vector<Priority> high(2, Priority::kHigh);
  Flood(simulation, &busy, {0.004, 0.004}, absl::Milliseconds(100), high);
  const SimulatedItem& low = simulation.Submit(&other, 0.001, 3, Priority::kLow);
  Flood(simulation, &busy, {0.004, 0.004}, absl::Milliseconds(350), high);
  EXPECT_EQ(low.ends, 0) << "high priority comes first";
  Flood(simulation, &busy, {0.004, 0.004}, absl::Milliseconds(150), high);
  EXPECT_EQ(low.ends, 1);
  EXPECT_LE(low.start - low.arrival, absl::Milliseconds(450));
  EXPECT_EQ(simulation.violation(), "");
}

TEST(DispatcherSimulation, StartsShortWorkAtOnceBesideLongWork) {
  SimulatedRunner runner;
  Simulation simulation(Options());
  SimulatedItem& heavy = simulation.Submit(&runner, 10.0, 1);
  for (int i = 0; i < 100; ++i) {
    simulation.Advance(absl::Milliseconds(37));
    const SimulatedItem& item = simulation.Submit(&runner, 0.002, 2);
    EXPECT_EQ(item.start, item.arrival);
    simulation.Advance(absl::Milliseconds(3));
    EXPECT_EQ(item.ends, 1);
  }
  EXPECT_EQ(heavy.ends, 0);
  simulation.RunToEnd();
  EXPECT_TRUE(heavy.status.ok()) << heavy.status;
  EXPECT_EQ(simulation.violation(), "");
}

TEST(DispatcherSimulation, LeavesLongWorkItsShareBesideAFloodOfShortWork) {
  SimulatedRunner runner(0.0, 1.0);
  SchedulerOptions options = PatientOptions();
  options.turns.long_share = 0.25;
  Simulation simulation(options);
  simulation.Submit(&runner, 100.0, 9);
  Flood(simulation, &runner, {0.002}, absl::Milliseconds(200), {Priority::kHigh});
  for (int second = 0; second < 5; ++second) {
    const double before = simulation.ServedSeconds(WorkClass::kLong, 9);
    Flood(simulation, &runner, {0.002}, absl::Seconds(1), {Priority::kHigh});
    EXPECT_NEAR(simulation.ServedSeconds(WorkClass::kLong, 9) - before, 0.25, 0.025);
  }
  EXPECT_EQ(simulation.violation(), "");
}

TEST(DispatcherSimulation, LetsLongItemsTakeTurns) {
  SimulatedRunner runner;
  Simulation simulation(Options());
  for (uint32_t caller = 1; caller <= 3; ++caller) simulation.Submit(&runner, 5.0, caller);
  simulation.Advance(absl::Seconds(3));
  for (uint32_t caller = 1; caller <= 3; ++caller) {
    EXPECT_NEAR(simulation.ServedSeconds(WorkClass::kLong, caller), 1.0, 0.05);
  }
  EXPECT_EQ(simulation.violation(), "");
}

TEST(DispatcherSimulation, RefusesLongWorkThatWouldWaitForAllLanes) {
  SimulatedRunner runner;
  Simulation simulation(Options());
  for (uint32_t i = 0; i < kLongLanes; ++i) simulation.Submit(&runner, 10.0, 1 + i % 2);
  const SimulatedItem& item =
      simulation.Submit(&runner, 0.02, 3, Priority::kNormal, absl::Seconds(20));
  EXPECT_EQ(GetErrorInfo(item.status).reason, "DEADLINE_UNREACHABLE") << item.status;
  EXPECT_EQ(simulation.violation(), "");
}

// A refusal looks at the clock, and so it may be what ends the time that long work had earned.
TEST(DispatcherSimulation, StartsWhatIsDueWhenAnItemIsRefused) {
  SimulatedRunner runner;
  Dispatcher dispatcher(Options());
  std::vector<EndedItem> ended;
  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  const auto offer = [&](double seconds, absl::Duration time_left) {
    struct NoWork final : Work {
      void Prepare(int) override {}
      void End(absl::StatusOr<Timing>) override {}
    };
    WorkItem item;
    item.runner = &runner;
    item.cost = {seconds, 1.0, 1, 1};
    item.deadline = now + time_left;
    item.work = std::make_unique<NoWork>();
    return dispatcher.Offer(item, now, ended).status();
  };
  ASSERT_TRUE(offer(100.0, absl::Hours(1)).ok());
  std::vector<int> started = dispatcher.TakeStarted();
  ASSERT_EQ(started.size(), 1u);
  dispatcher.TakeBatch(started[0]);
  // Short work until the long one has earned its turn.
  int runs = 0;
  do {
    ASSERT_TRUE(offer(0.009, absl::Hours(1)).ok());
    started = dispatcher.TakeStarted();
    if (started.empty()) break;
    const Batch batch = dispatcher.TakeBatch(started[0]);
    now += absl::Milliseconds(9);
    dispatcher.Finish(started[0], batch, true, now, ended);
    dispatcher.MakeReady(started[0], now, ended);
    ASSERT_LT(++runs, 100);
  } while (true);
  now += absl::Milliseconds(30);
  EXPECT_FALSE(offer(1.0, absl::ZeroDuration()).ok());
  EXPECT_EQ(dispatcher.TakeStarted().size(), 1u);
}

TEST(DispatcherSimulation, UsesBothExecutorsForOneLongItem) {
  SimulatedRunner runner;
  SchedulerOptions options = Options();
  options.executors = 2;
  Simulation simulation(options);
  const SimulatedItem& heavy = simulation.Submit(&runner, 1.0, 1);
  simulation.Advance(absl::Milliseconds(100));
  // The other executor computes short work at once, and helps again when it is done.
  for (int i = 0; i < 10; ++i) {
    const SimulatedItem& item = simulation.Submit(&runner, 0.005, 2);
    EXPECT_EQ(item.start, item.arrival);
    simulation.Advance(absl::Milliseconds(10));
    EXPECT_EQ(item.ends, 1);
  }
  simulation.RunToEnd();
  EXPECT_TRUE(heavy.status.ok()) << heavy.status;
  EXPECT_NEAR(absl::ToDoubleSeconds(heavy.end - heavy.arrival), (1.0 + 10 * 0.005) / 2, 1e-3);
  EXPECT_EQ(simulation.violation(), "");
}

// Otherwise later work would be expected to take as little time without help.
TEST(DispatcherSimulation, LearnsNothingFromWorkThatHadHelp) {
  SimulatedRunner runner;
  SchedulerOptions options = Options();
  options.executors = 2;
  Simulation simulation(options);
  for (int i = 0; i < 20; ++i) {
    simulation.Submit(&runner, 0.1, 1);
    simulation.Advance(absl::Milliseconds(60));
  }
  for (int i = 0; i < 20; ++i) simulation.Submit(&runner, 0.1, 1 + static_cast<uint32_t>(i % 3));
  const SchedulerStats stats = simulation.dispatcher().stats(simulation.now());
  ASSERT_GT(stats.queue_requests, 0);
  EXPECT_NEAR(absl::ToDoubleSeconds(stats.queue_expected),
              0.1 * static_cast<double>(stats.queue_requests), 1e-6);
  EXPECT_EQ(simulation.violation(), "");
}

TEST(DispatcherSimulation, UsesBothExecutors) {
  SimulatedRunner runner;
  SchedulerOptions options = Options();
  options.executors = 2;
  Simulation simulation(options);
  const SimulatedItem& first = simulation.Submit(&runner, 1.0, 1);
  const SimulatedItem& second = simulation.Submit(&runner, 1.0, 1);
  simulation.Advance(absl::Milliseconds(1001));
  EXPECT_EQ(first.ends, 1);
  EXPECT_EQ(second.ends, 1);
  EXPECT_EQ(simulation.violation(), "");
}

}  // namespace
}  // namespace attend
