// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_DECODE_PREFETCH_H_
#define ATTEND_CORE_ATTENTION_DECODE_PREFETCH_H_

#include "absl/types/span.h"
#include "core/simd/prefetch.h"

namespace attend::internal {

// The policies that decode chooses from. The first was best on a Zen 5, among 3 to 16 KiB and
// groups of 1, 4 and 8 heads, the last two on a Zen 4; docs/decisions/0011 has the figures.
absl::Span<const PrefetchPolicy> DecodePrefetchCandidates();

// The candidate with which the decode kernel reads keys and values from memory fastest, on
// this CPU. Runs the kernel on 2 MiB that no cache holds, for about 5 ms. Thread-safe.
PrefetchPolicy ChooseDecodePrefetch();

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_DECODE_PREFETCH_H_
