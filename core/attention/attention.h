// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_ATTENTION_H_
#define ATTEND_CORE_ATTENTION_ATTENTION_H_

#include "absl/types/span.h"
#include "core/attention/kernels/kernel.h"
#include "core/attention/problem.h"
#include "core/exec/execution_context.h"
#include "core/simd/cpu.h"

namespace attend {

// Computes all problems on the context's workers, as core/attention/plan.h says. Lq x Lk is
// never held whole unless its weights are asked for. The bits of a problem's result depend
// on that problem and the CPU alone, not on its company or on the number of workers.
//
// Working memory is taken from the context's arenas and does not grow with Lk: per worker its
// tiles, about 400 KiB at D = Dv = 128 and in proportion to head widths; where keys are
// split, up to 6 states (a state is the float32 output of up to 64 rows) per worker, and with
// several tasks per tile up to 32 states per worker from the calling thread's arena.
// Blocks the calling thread, which is worker 0, until done.
void ComputeAttention(absl::Span<const AttentionProblem* const> problems,
                      ExecutionContext& context);

namespace internal {

// What attention is planned for and computed by. Tests put a model of AMX in its place.
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
