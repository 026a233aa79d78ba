// SPDX-License-Identifier: Apache-2.0
#include "core/exec/topology.h"

#include <sched.h>

#include <numeric>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::ElementsAre;

using Caches = std::map<int, std::vector<CacheTexts>>;

CpuList Range(int first, int count) {
  CpuList cpus(static_cast<size_t>(count));
  std::iota(cpus.begin(), cpus.end(), first);
  return cpus;
}

// Core i has the hardware threads i and i + cores; every eight cores share a cache of level 3.
Caches Epyc(int cores) {
  Caches caches;
  for (int cpu = 0; cpu < 2 * cores; ++cpu) {
    const int core = cpu % cores, first = core / 8 * 8;
    const std::string own = absl::StrCat(core, ",", core + cores, "\n");
    caches[cpu] = {
        {"1\n", "Data\n", own},
        {"1\n", "Instruction\n", own},
        {"2\n", "Unified\n", own},
        {"3\n", "Unified\n",
         absl::StrCat(first, "-", first + 7, ",", first + cores, "-", first + cores + 7, "\n")}};
  }
  return caches;
}

TEST(ParseCpuList, ReadsNumbersAndRanges) {
  EXPECT_EQ(ParseCpuList("0-2,8\n"), (CpuList{0, 1, 2, 8}));
  EXPECT_EQ(ParseCpuList("5"), (CpuList{5}));
  EXPECT_EQ(ParseCpuList("3,1-3"), (CpuList{1, 2, 3}));
  for (const char* text : {"", "\n", "a", "1-", "-1", "3-1", "1-2-3", "1,,2", "0-4000000000"}) {
    EXPECT_EQ(ParseCpuList(text), std::nullopt) << text;
  }
}

TEST(GroupByCache, FindsOneGroupWhereTwoCoresShareTheCache) {
  Caches caches;
  for (const int cpu : {0, 1}) {
    caches[cpu] = {{"1", "Data", absl::StrCat(cpu)}, {"3", "Unified", "0-1"}};
  }
  EXPECT_THAT(GroupByCache({0, 1}, caches), ElementsAre(CpuList{0, 1}));
}

TEST(GroupByCache, FindsSixteenGroupsOf128Cores) {
  const std::vector<CpuList> groups = GroupByCache(Range(0, 256), Epyc(128));
  ASSERT_EQ(groups.size(), 16u);
  for (const CpuList& group : groups) EXPECT_EQ(group.size(), 16u);
  // The hardware threads of a core are neighbours.
  EXPECT_EQ((CpuList{groups[1].begin(), groups[1].begin() + 4}), (CpuList{8, 136, 9, 137}));
}

TEST(GroupByCache, LeavesOutCpusThatTheProcessMayNotUse) {
  // CPUs that are offline or outside the affinity mask.
  EXPECT_THAT(GroupByCache({6, 7, 8, 24}, Epyc(32)),
              ElementsAre(CpuList{6, 7}, CpuList{8}, CpuList{24}));
}

TEST(GroupByCache, FindsOneGroupWhereACacheIsUnknown) {
  const CpuList cpus = Range(0, 32);
  EXPECT_THAT(GroupByCache(cpus, {}), ElementsAre(cpus));
  Caches missing = Epyc(16);
  missing.erase(20);
  EXPECT_THAT(GroupByCache(cpus, missing), ElementsAre(cpus));
  for (const char* bad : {"", "x", "0-7"}) {  // CPU 8 is not among the last
    Caches caches = Epyc(16);
    caches[8][3].shared_cpu_list = bad;
    EXPECT_THAT(GroupByCache(cpus, caches), ElementsAre(cpus)) << bad;
  }
  Caches caches = Epyc(16);
  caches[8][3].level = "three";
  EXPECT_THAT(GroupByCache(cpus, caches), ElementsAre(cpus));
}

TEST(GroupByCache, FindsOneGroupWhereCoresShareNoCache) {
  Caches caches = Epyc(16);
  for (auto& [cpu, texts] : caches) texts.pop_back();
  EXPECT_THAT(GroupByCache(Range(0, 32), caches), ElementsAre(Range(0, 32)));
}

TEST(ReadTopology, FindsTheCpusOfTheAffinityMask) {
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  const Topology topology = ReadTopology();
  EXPECT_EQ(topology.CountCpus(), CPU_COUNT(&set));
  EXPECT_GE(topology.cores, 1);
  EXPECT_LE(topology.cores, topology.CountCpus());
}

TEST(PinThisThread, RestrictsOnlyTheCallingThread) {
  const int cpu = ReadTopology().groups.front().front();
  std::thread([cpu] {
    PinThisThread({});
    PinThisThread({CPU_SETSIZE - 1});  // refused where there is no such CPU
    PinThisThread({cpu});
    cpu_set_t set;
    ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
    EXPECT_EQ(CPU_COUNT(&set), 1);
    EXPECT_TRUE(CPU_ISSET(static_cast<size_t>(cpu), &set));
  }).join();
}

}  // namespace
}  // namespace attend
