// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_BENCH_KERNELS_PEAKS_H_
#define ATTEND_TESTS_BENCH_KERNELS_PEAKS_H_

#include "core/exec/worker_pool.h"

namespace attend::bench {

// What the machine gives at this moment, on all workers of the pool together: the
// best of a few attempts, each about a millisecond of every worker.

// Multiply-adds on registers alone, float32, in FLOP/s.
double FloatPeak(WorkerPool& pool);

// The same in bfloat16, with AMX's tiles where the machine has them, otherwise
// with vdpbf16ps; 0 where it has neither.
double BFloat16Peak(WorkerPool& pool);

// What BFloat16Peak uses: "tdpbf16ps", "vdpbf16ps" or "".
const char* BFloat16PeakInstruction();

// Reading memory in order, bytes/s. Takes longer: 256 MiB a worker, which stay
// allocated. One call at a time.
double ReadBandwidth(WorkerPool& pool);

// Seconds that count for a run on this pool: processor time of the calling thread
// where it works alone, since others may share the core; else wall time.
double Now(const WorkerPool& pool);

// The wall clock, in seconds from a moment in the past.
double WallNow();

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_KERNELS_PEAKS_H_
