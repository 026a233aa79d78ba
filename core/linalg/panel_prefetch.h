// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_PANEL_PREFETCH_H_
#define ATTEND_CORE_LINALG_PANEL_PREFETCH_H_

#include "absl/types/span.h"
#include "core/simd/prefetch.h"

namespace attend {

// The policy by which products of few rows prefetch their weights: the candidate below with
// which the panel kernel streams weights from memory fastest for one row and for four, on this
// CPU. The first call measures that: it runs the kernel on 2 MiB that no cache holds, for about
// 10 ms. Thread-safe.
const PrefetchPolicy& GetPanelPrefetch();

namespace internal {

// The first was best on a Zen 5, where the hardware's prefetcher stays within a page of 4 KiB:
// 16 words of 256 bytes reach into the next page in time. On a Zen 4 none was best, by up
// to a third for 1 to 4 rows.
absl::Span<const PrefetchPolicy> PanelPrefetchCandidates();

}  // namespace internal
}  // namespace attend

#endif  // ATTEND_CORE_LINALG_PANEL_PREFETCH_H_
