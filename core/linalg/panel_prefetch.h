// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_PANEL_PREFETCH_H_
#define ATTEND_CORE_LINALG_PANEL_PREFETCH_H_

#include "absl/types/span.h"
#include "core/simd/prefetch.h"

namespace attend::internal {

// The policies that products of few rows choose from. The first was best on a Zen 5 and on a
// Zen 4: the hardware's prefetcher stays within a page of 4 KiB, and 16 words of 256 bytes
// reach into the next page in time.
absl::Span<const PrefetchPolicy> PanelPrefetchCandidates();

// The candidate with which the panel kernel streams weights from memory fastest for one row
// and for four, on this CPU. The first call measures that: it runs the kernel on 2 MiB that
// no cache holds, for about 10 ms. Thread-safe.
const PrefetchPolicy& GetPanelPrefetch();

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_PANEL_PREFETCH_H_
