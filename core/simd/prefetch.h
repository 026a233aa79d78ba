// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_SIMD_PREFETCH_H_
#define ATTEND_CORE_SIMD_PREFETCH_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"

namespace attend {

// The cache that software prefetch fills.
enum class PrefetchLevel { kNone, kFirst, kSecond };

// How a kernel that reads memory once prefetches it. Results never depend on it, speed does,
// and the best policy differs between processors: decode reads 14 GB/s on a Zen 4 with the
// policy that is best on a Zen 5, and 21 GB/s into the second level (docs/decisions/0011). Kernels
// that stream memory therefore measure their candidates once, at start.
struct PrefetchPolicy {
  PrefetchLevel level = PrefetchLevel::kNone;
  int64_t bytes = 0;  // from a load to the line that is prefetched beside it; > 0

  friend bool operator==(const PrefetchPolicy&, const PrefetchPolicy&) = default;
};

// For example "second level, 16 KiB ahead", or "none".
std::string ToString(const PrefetchPolicy& policy);

namespace internal {

// The candidate with the shortest of several measurements. An earlier candidate stays unless
// a later one is faster by more than noise, 3 %. `measure` returns seconds; it is called for
// all candidates in turn, twice, and up to kPrefetchRounds times as long as all add up to less than
// kPrefetchSeconds, so that a slow machine starts soon. `candidates` is not empty.
inline constexpr int kPrefetchRounds = 6;
inline constexpr double kPrefetchSeconds = 0.05;
PrefetchPolicy ChoosePrefetch(absl::Span<const PrefetchPolicy> candidates,
                              absl::FunctionRef<double(const PrefetchPolicy&)> measure);

// Seconds that `read` takes when no cache holds the `bytes` bytes at `data`.
double TimeColdRead(const std::byte* data, size_t bytes, absl::FunctionRef<void()> read);

}  // namespace internal
}  // namespace attend

#endif  // ATTEND_CORE_SIMD_PREFETCH_H_
