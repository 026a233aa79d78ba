// SPDX-License-Identifier: Apache-2.0
#include "core/simd/prefetch.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/find_least.h"

namespace attend {

std::string ToString(const PrefetchPolicy& policy) {
  if (policy.level == PrefetchLevel::kNone) return "none";
  return absl::StrCat(policy.level == PrefetchLevel::kFirst ? "first" : "second", " level, ",
                      policy.bytes / 1024, " KiB ahead");
}

namespace internal {

PrefetchPolicy ChoosePrefetch(absl::Span<const PrefetchPolicy> candidates,
                              absl::FunctionRef<double(const PrefetchPolicy&)> measure) {
  std::vector<double> seconds(candidates.size(), std::numeric_limits<double>::infinity());
  constexpr MeasuredRuns kRounds = {2, kPrefetchRounds, kPrefetchSeconds};
  double spent = 0.0;
  for (int round = 0; kRounds.Continue(round, spent); ++round) {
    for (size_t i = 0; i < candidates.size(); ++i) {
      const double measured = measure(candidates[i]);
      seconds[i] = std::min(seconds[i], measured);
      spent += measured;
    }
  }
  size_t best = 0;
  for (size_t i = 1; i < candidates.size(); ++i) {
    if (seconds[i] < 0.97 * seconds[best]) best = i;
  }
  return candidates[best];
}

double TimeColdRead(const std::byte* data, size_t bytes, absl::FunctionRef<void()> read) {
  constexpr size_t kLineBytes = 64;
  for (size_t at = 0; at < bytes; at += kLineBytes) hwy::FlushCacheline(data + at);
  hwy::LoadFence();
  const auto start = std::chrono::steady_clock::now();
  read();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace internal
}  // namespace attend
