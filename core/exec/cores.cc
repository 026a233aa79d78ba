// SPDX-License-Identifier: Apache-2.0
#include "core/exec/cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace attend {

std::optional<double> ParseCpuMax(absl::string_view text) {
  const std::vector<absl::string_view> parts =
      absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  double quota = 0.0, period = 0.0;
  if (parts.size() != 2 || !absl::SimpleAtod(parts[0], &quota) ||
      !absl::SimpleAtod(parts[1], &period) || !(quota > 0.0) || !(period > 0.0)) {
    return std::nullopt;
  }
  return quota / period;
}

int UsableCores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  // Inside a container this file describes the container's group; on a bare machine it does not
  // exist.
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string line;
  if (std::getline(file, line)) {
    if (const std::optional<double> quota = ParseCpuMax(line); quota.has_value()) {
      cores = std::min(cores, static_cast<int>(std::ceil(std::min(*quota, 1e6))));
    }
  }
  return std::max(cores, 1);
}

}  // namespace attend
