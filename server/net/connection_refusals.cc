// SPDX-License-Identifier: Apache-2.0
#include "server/net/connection_refusals.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/telemetry/log.h"

namespace attend {
namespace {

constexpr int64_t kLinesPerSecond = 5;

}  // namespace

ConnectionRefusals::ConnectionRefusals(const Clock& clock)
    : log_limits_{LogLimit(kLinesPerSecond, clock), LogLimit(kLinesPerSecond, clock),
                  LogLimit(kLinesPerSecond, clock), LogLimit(kLinesPerSecond, clock)} {}

void ConnectionRefusals::Add(ConnectionRefusal refusal, absl::string_view caller) {
  const auto kind = static_cast<size_t>(refusal);
  ++counts_[kind];
  const std::optional<int64_t> left_out = log_limits_[kind].Admit();
  if (!left_out) return;
  Log(LogLevel::kWarning, "connection refused",
      {{"caller", std::string(caller)},
       {"limit", kConnectionRefusalNames[kind]},
       {"lines_left_out", absl::StrCat(*left_out)}});
}

ConnectionRefusalCounts ConnectionRefusals::counts() const {
  ConnectionRefusalCounts counts;
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = counts_[i].load();
  return counts;
}

}  // namespace attend
