#ifndef ATTEND_CORE_ATTENTION_ATTENTION_H_
#define ATTEND_CORE_ATTENTION_ATTENTION_H_

#include <cstdint>

#include "absl/types/span.h"
#include "core/attention/problem.h"
#include "core/exec/execution_context.h"

namespace attend {

// Computes all problems, sharing the context's workers over
// (problem, sequence, head, block of query rows or of keys). Lq x Lk is never held whole
// unless its weights are asked for. The bits of a problem's result depend on
// that problem alone, not on its company or on the number of workers.
// Working memory is taken from the context's arenas and does not grow with Lk: per worker its
// tiles, about 400 KiB at D = Dv = 128 and in proportion to head widths; where few rows read
// long keys, 6 times the float32 output of up to 64 rows per worker, and with several workers
// up to 16 times it for each of them from the calling thread's arena.
// Blocks the calling thread until done.
void ComputeAttention(absl::Span<const AttentionProblem* const> problems,
                      ExecutionContext& context);

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_ATTENTION_H_
