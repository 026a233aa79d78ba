#ifndef ATTEND_CORE_ATTENTION_COST_H_
#define ATTEND_CORE_ATTENTION_COST_H_

#include <cstdint>

#include "core/attention/problem.h"

namespace attend {

// What attention costs, from shapes and options alone. Pure, thread-safe.

// A row by itself waits for memory about as long as so many rows are computed: reading a
// byte takes a core about as long as eight operations (200 GFLOP/s beside 25 GB/s).
inline constexpr int64_t kRowsOfMemoryTime = 8;

// The elements of one head's matrix of scores that causal and windows let rows read: the
// sum over query rows of the keys that the row may read. Masks do not count.
double CountReadableElements(const AttentionParams& params, const SequenceArgs& sequence);

// Floating-point operations of a sequence: 2 * (D + Dv) per readable element of each head
// whose gate is not 0.
double AttentionFlops(const HeadShape& heads, const AttentionParams& params,
                      const SequenceArgs& sequence);

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_COST_H_
