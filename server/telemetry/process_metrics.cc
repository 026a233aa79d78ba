// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "core/base/read_file.h"
#include "server/telemetry/gauge_family.h"

namespace attend {
namespace {

// Fields of /proc/self/stat by their number in proc(5). The second, the
// program's name, may hold spaces: count from its closing bracket.
std::vector<std::string> StatFields() {
  const std::string stat = ReadFile("/proc/self/stat");
  const size_t bracket = stat.rfind(')');
  if (bracket == std::string::npos || bracket + 2 > stat.size()) return {};
  std::vector<std::string> fields(3);  // 0 is none, 1 and 2 are not numbers
  for (const auto field : absl::StrSplit(stat.substr(bracket + 2), ' ')) {
    fields.emplace_back(field);
  }
  return fields;
}

std::optional<double> Number(const std::vector<std::string>& fields, size_t index) {
  double value = 0;
  if (index >= fields.size() || !absl::SimpleAtod(fields[index], &value)) return std::nullopt;
  return value;
}

std::optional<double> BootTimeSeconds() {
  for (const absl::string_view line : absl::StrSplit(ReadFile("/proc/stat"), '\n')) {
    double value = 0;
    if (absl::StartsWith(line, "btime ") && absl::SimpleAtod(line.substr(6), &value)) return value;
  }
  return std::nullopt;
}

std::optional<double> OpenFiles() {
  std::error_code error;
  std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (error) return std::nullopt;
  double count = -1;  // the iterator's own
  for (; files != std::filesystem::directory_iterator(); files.increment(error)) ++count;
  return count;
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics() {
  std::vector<prometheus::MetricFamily> families;
  const auto add = [&](prometheus::MetricFamily family) { families.push_back(std::move(family)); };
  const std::vector<std::string> stat = StatFields();
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  const auto user = Number(stat, 14), system = Number(stat, 15);
  if (user && system) {
    add(CounterFamily("process_cpu_seconds_total", "User and system CPU time spent in seconds.",
                      (*user + *system) / ticks));
  }
  const auto start = Number(stat, 22), boot = BootTimeSeconds();
  if (start && boot) {
    add(GaugeFamily("process_start_time_seconds",
                    "Start time of the process since unix epoch in seconds.",
                    *boot + *start / ticks));
  }
  if (const auto bytes = Number(stat, 23)) {
    add(GaugeFamily("process_virtual_memory_bytes", "Virtual memory size in bytes.", *bytes));
  }
  if (const auto pages = Number(stat, 24)) {
    add(GaugeFamily("process_resident_memory_bytes", "Resident memory size in bytes.",
                    *pages * page));
  }
  if (const auto files = OpenFiles()) {
    add(GaugeFamily("process_open_fds", "Number of open file descriptors.", *files));
  }
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    add(GaugeFamily("process_max_fds", "Maximum number of open file descriptors.",
                    static_cast<double>(limit.rlim_cur)));
  }
  return families;
}

}  // namespace attend
