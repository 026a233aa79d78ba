#ifndef ATTEND_CORE_ATTENTION_COST_H_
#define ATTEND_CORE_ATTENTION_COST_H_

#include "core/attention/problem.h"

namespace attend {

// What attention costs, from shapes and options alone. Pure, thread-safe.

// The elements of one head's matrix of scores that causal and windows let rows read: the
// sum over query rows of the keys that the row may read. Masks do not count.
double CountReadableElements(const AttentionParams& params, const SequenceArgs& sequence);

// Floating-point operations of a sequence: 2 * (D + Dv) per readable element of each head
// whose gate is not 0.
double AttentionFlops(const HeadShape& heads, const AttentionParams& params,
                      const SequenceArgs& sequence);

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_COST_H_
