// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_ATTENTION_H_
#define ATTEND_CORE_ATTENTION_ATTENTION_H_

#include "absl/types/span.h"
#include "core/attention/kernels/kernel.h"
#include "core/attention/problem.h"
#include "core/exec/execution_context.h"
#include "core/simd/cpu.h"
#include "core/simd/prefetch.h"

namespace attend {

// Computes all problems on the context's workers, as core/attention/plan.h describes. An Lq x Lk
// matrix is held whole only for attention weights that the caller requests. The bits of a
// problem's result depend on that problem and the CPU alone, not on the other problems of the
// call or on the number of workers.
//
// Working memory comes from the context's arenas and does not grow with Lk. Each worker's tiles
// take about 400 KiB at D = Dv = 128, in proportion to head widths. Where keys are split, each
// worker also holds up to 6 states (a state is the float32 output of up to 64 rows); with
// several tasks per tile, the calling thread's arena holds up to 32 states per worker. Blocks
// the calling thread, which is worker 0, until done.
void ComputeAttention(absl::Span<const AttentionProblem* const> problems,
                      ExecutionContext& context);

// The policy by which decode prefetches keys and values. The first call of this or of
// ComputeAttention measures it (core/attention/decode_prefetch.h). Thread-safe.
const PrefetchPolicy& GetDecodePrefetch();

namespace internal {

// The CPU that attention is planned for and the kernels that compute it. Tests substitute a
// model of AMX.
struct Machine {
  CpuFeatures cpu;
  const KernelTable* kernels = nullptr;
};

// The CPU that runs the program and its kernels. Thread-safe.
const Machine& ThisMachine();

void ComputeAttention(absl::Span<const AttentionProblem* const> problems, ExecutionContext& context,
                      const Machine& machine);

}  // namespace internal
}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_ATTENTION_H_
