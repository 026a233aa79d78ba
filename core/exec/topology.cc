// SPDX-License-Identifier: Apache-2.0
#include "core/exec/topology.h"

#include <sched.h>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/read_file.h"
#include "core/exec/cores.h"

namespace attend {
namespace {

// No list names more CPUs than a cpu_set_t holds.
constexpr int kMaxCpu = CPU_SETSIZE - 1;

constexpr int kLeastSharedLevel = 3;

// The caches that decide where a CPU belongs, each named by its lowest CPU.
struct Place {
  int last_level = 0;  // the highest level of a cache for data
  int group = 0;       // the cache of that level
  int core = 0;        // the cache of level 1, which the hardware threads of a core share
};

std::optional<Place> FindPlace(int cpu, const std::vector<CacheTexts>& caches) {
  Place place;
  place.core = cpu;
  for (const CacheTexts& cache : caches) {
    if (absl::StripAsciiWhitespace(cache.type) == "Instruction") continue;
    int level = 0;
    const std::optional<CpuList> shared = ParseCpuList(cache.shared_cpu_list);
    if (!absl::SimpleAtoi(cache.level, &level) || !shared.has_value() ||
        !std::binary_search(shared->begin(), shared->end(), cpu)) {
      return std::nullopt;
    }
    if (level == 1) place.core = shared->front();
    if (level > place.last_level) {
      place.last_level = level;
      place.group = shared->front();
    }
  }
  if (place.last_level < kLeastSharedLevel) return std::nullopt;
  return place;
}

std::vector<CacheTexts> ReadCaches(int cpu) {
  std::vector<CacheTexts> caches;
  for (int index = 0;; ++index) {
    const std::string folder =
        absl::StrCat("/sys/devices/system/cpu/cpu", cpu, "/cache/index", index, "/");
    CacheTexts texts = {ReadFile(folder + "level"), ReadFile(folder + "type"),
                        ReadFile(folder + "shared_cpu_list")};
    if (texts.level.empty()) return caches;
    caches.push_back(std::move(texts));
  }
}

CpuList ReadUsableCpus() {
  CpuList cpus;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) CPU_ZERO(&set);
  for (int cpu = 0; cpu <= kMaxCpu; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  if (cpus.empty()) {  // a machine with more CPUs than the set holds
    cpus.resize(static_cast<size_t>(UsableCores()));
    std::iota(cpus.begin(), cpus.end(), 0);
  }
  return cpus;
}

}  // namespace

int Topology::CountCpus() const {
  size_t cpus = 0;
  for (const CpuList& group : groups) cpus += group.size();
  return static_cast<int>(cpus);
}

std::optional<CpuList> ParseCpuList(absl::string_view text) {
  CpuList cpus;
  for (const absl::string_view part : absl::StrSplit(absl::StripAsciiWhitespace(text), ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(part, '-');
    int first = 0, last = 0;
    if (ends.size() > 2 || !absl::SimpleAtoi(ends.front(), &first) ||
        !absl::SimpleAtoi(ends.back(), &last) || first < 0 || last < first || last > kMaxCpu) {
      return std::nullopt;
    }
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

std::vector<CpuList> GroupByCache(const CpuList& cpus,
                                  const std::map<int, std::vector<CacheTexts>>& caches) {
  std::vector<std::tuple<int, int, int>> places;  // group, core, CPU
  for (const int cpu : cpus) {
    const auto texts = caches.find(cpu);
    const std::optional<Place> place =
        texts == caches.end() ? std::nullopt : FindPlace(cpu, texts->second);
    if (!place.has_value()) return {cpus};
    places.emplace_back(place->group, place->core, cpu);
  }
  std::sort(places.begin(), places.end());
  std::vector<CpuList> groups;
  int last_group = -1;
  for (const auto& [group, core, cpu] : places) {
    if (group != last_group) groups.emplace_back();
    groups.back().push_back(cpu);
    last_group = group;
  }
  return groups;
}

Topology ReadTopology() {
  const CpuList cpus = ReadUsableCpus();
  std::map<int, std::vector<CacheTexts>> caches;
  for (const int cpu : cpus) caches[cpu] = ReadCaches(cpu);
  return {GroupByCache(cpus, caches), UsableCores()};
}

void PinThisThread(const CpuList& cpus) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  sched_setaffinity(0, sizeof(set), &set);  // a failure leaves the thread where it was
}

}  // namespace attend
