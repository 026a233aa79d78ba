// SPDX-License-Identifier: Apache-2.0
#include "core/exec/executor_plan.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

// Groups of consecutive CPUs.
Topology Machine(int groups, int group_size, int cores) {
  Topology topology;
  for (int cpu = 0; cpu < groups * group_size; ++cpu) {
    if (cpu % group_size == 0) topology.groups.emplace_back();
    topology.groups.back().push_back(cpu);
  }
  topology.cores = cores;
  return topology;
}

// "workers:CPUs" per executor.
std::string ToString(const std::vector<ExecutorPlan>& plans) {
  return absl::StrJoin(plans, " ", [](std::string* out, const ExecutorPlan& plan) {
    absl::StrAppend(out, plan.workers, ":", absl::StrJoin(plan.cpus, ","));
  });
}

TEST(PlanExecutors, DividesWorkersAndCpus) {
  const struct {
    std::string name;
    Topology topology;
    int workers, executors;
    std::string plan;
  } kCases[] = {
      {"one core", Machine(1, 1, 1), 0, 0, "1:"},
      {"two cores, one cache", Machine(1, 2, 2), 0, 0, "2:"},
      {"two cores, a cache each", Machine(2, 1, 2), 0, 0, "2:"},
      {"two executors in one cache", Machine(1, 2, 2), 0, 2, "1:0 1:1"},
      {"more workers than cores", Machine(1, 2, 2), 5, 2, "3:0 2:1"},
      {"more executors than cores", Machine(1, 1, 1), 2, 2, "1:0 1:0"},
      {"two caches", Machine(2, 4, 8), 0, 0, "4:0,1,2,3 4:4,5,6,7"},
      {"two caches, one executor", Machine(2, 4, 8), 0, 1, "8:"},
      {"two caches, three executors", Machine(2, 4, 8), 0, 3, "2:0,1 2:2,3 4:4,5,6,7"},
      {"workers for one of two caches", Machine(2, 4, 8), 4, 0, "4:"},
      {"workers for two of four caches", Machine(4, 2, 8), 4, 0, "2:0,1 2:4,5"},
      {"two executors over four caches", Machine(4, 2, 8), 0, 2, "4:0,1,2,3 4:4,5,6,7"},
      {"caches of unequal sizes", {{{0, 1, 2}, {3}}, 4}, 0, 2, "3:0,1,2 1:3"},
      {"a quota of 3.5 on 64", Machine(8, 8, 4), 0, 0, "4:"},
      {"a quota of 16 on 64", Machine(8, 8, 16), 0, 0, "8: 8:"},
      {"a quota and three executors", Machine(8, 8, 4), 0, 3, "2: 1: 1:"},
  };
  for (const auto& test : kCases) {
    const auto plans = PlanExecutors(test.topology, test.workers, test.executors);
    ASSERT_TRUE(plans.ok()) << test.name << ": " << plans.status();
    EXPECT_EQ(ToString(*plans), test.plan) << test.name;
  }
}

TEST(PlanExecutors, GivesEachOfSixteenCachesAnExecutor) {
  const auto plans = PlanExecutors(Machine(16, 8, 128), 0, 0);
  ASSERT_TRUE(plans.ok());
  ASSERT_EQ(plans->size(), 16u);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ((*plans)[i].workers, 8);
    EXPECT_EQ((*plans)[i].cpus, Machine(16, 8, 128).groups[i]);
  }
}

TEST(PlanExecutors, UsesEachWorkerAndNoCpuTwice) {
  for (int executors = 1; executors <= 128; ++executors) {
    for (const int workers : {executors, 128}) {
      const auto plans = PlanExecutors(Machine(16, 8, 128), workers, executors);
      ASSERT_TRUE(plans.ok());
      int sum = 0;
      size_t cpus = 0;
      std::set<int> distinct;
      for (const ExecutorPlan& plan : *plans) {
        sum += plan.workers;
        cpus += plan.cpus.size();
        distinct.insert(plan.cpus.begin(), plan.cpus.end());
        EXPECT_GE(plan.workers, 1);
        EXPECT_EQ(plan.cpus.empty(), executors == 1);
      }
      EXPECT_EQ(sum, workers);
      EXPECT_EQ(distinct.size(), cpus) << executors;
    }
  }
}

TEST(PlanExecutors, RefusesMoreExecutorsThanWorkers) {
  const auto plans = PlanExecutors(Machine(1, 2, 2), 0, 3);
  EXPECT_EQ(plans.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(plans.status().message(), "3 executors need one worker each; there are 2 workers");
  EXPECT_TRUE(PlanExecutors(Machine(1, 2, 2), 3, 3).ok());
}

}  // namespace
}  // namespace attend
