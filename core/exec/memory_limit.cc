// SPDX-License-Identifier: Apache-2.0
#include "core/exec/memory_limit.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/read_file.h"

namespace attend {
std::optional<int64_t> CgroupMemoryLimit(absl::string_view groups, const std::string& root) {
  std::string group;  // with a slash before it and none after it
  for (absl::string_view line : absl::StrSplit(groups, '\n')) {
    if (absl::ConsumePrefix(&line, "0::")) group = std::string(absl::StripSuffix(line, "/"));
  }
  std::optional<int64_t> least;
  while (true) {
    int64_t limit = 0;  // "max" is no number
    if (absl::SimpleAtoi(ReadFile(root + group + "/memory.max"), &limit) && limit > 0) {
      least = std::min(least.value_or(limit), limit);
    }
    if (group.empty()) return least;
    group.resize(group.rfind('/'));
  }
}

int64_t MemoryLimit() {
  const int64_t machine = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return std::min(
      machine,
      CgroupMemoryLimit(ReadFile("/proc/self/cgroup"), "/sys/fs/cgroup").value_or(machine));
}

int64_t HeldMemory() {
  for (absl::string_view line : absl::StrSplit(ReadFile("/proc/self/status"), '\n')) {
    int64_t kib = 0;
    if (absl::ConsumePrefix(&line, "RssAnon:") && absl::ConsumeSuffix(&line, " kB") &&
        absl::SimpleAtoi(line, &kib)) {
      return kib << 10;
    }
  }
  return 0;
}

}  // namespace attend
