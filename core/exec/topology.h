// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_EXEC_TOPOLOGY_H_
#define ATTEND_CORE_EXEC_TOPOLOGY_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace attend {

using CpuList = std::vector<int>;  // the kernel's numbers of CPUs, without repetition

// The CPUs that a process may use.
struct Topology {
  // All of them, grouped by the last-level cache that they share. Not empty, and no group is.
  // The hardware threads of a core are neighbours in their group.
  std::vector<CpuList> groups;

  // How many CPUs the process may keep busy at a time, >= 1 (UsableCores). Fewer than the groups
  // hold where a quota says so. Each hardware thread counts.
  int cores = 1;

  int CountCpus() const;
};

// The texts of one directory /sys/devices/system/cpu/cpu*/cache/index*.
struct CacheTexts {
  std::string level;
  std::string type;
  std::string shared_cpu_list;
};

// The kernel's notation, e.g. "0-2,8" -> {0, 1, 2, 8}, ascending; nullopt if it is malformed.
std::optional<CpuList> ParseCpuList(absl::string_view text);

// Groups the CPUs by their last-level cache, in the order of their lowest numbers. `caches` is
// keyed by CPU; CPUs in it that are not in `cpus` are ignored. All CPUs are one group if that
// of any is unknown or malformed, and if there is no cache of level 3 or above: caches below
// belong to single cores, and an executor per core would compute each request on one core.
std::vector<CpuList> GroupByCache(const CpuList& cpus,
                                  const std::map<int, std::vector<CacheTexts>>& caches);

// The topology as this process sees it. Reads files.
Topology ReadTopology();

// Restricts the calling thread to the CPUs. Does nothing if the list is empty or the system
// refuses, because results do not depend on where a thread runs.
void PinThisThread(const CpuList& cpus);

}  // namespace attend

#endif  // ATTEND_CORE_EXEC_TOPOLOGY_H_
