// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_BENCH_KERNELS_PEAKS_H_
#define ATTEND_TESTS_BENCH_KERNELS_PEAKS_H_

#include "core/exec/worker_pool.h"

namespace attend::bench {

// The machine's peaks at this moment, on all workers of the pool together: the best of a few
// attempts, each about a millisecond on every worker.

// Multiply-adds on registers alone, float32, in FLOP/s.
double FloatPeak(WorkerPool& pool);

// Multiply-adds in bfloat16, with AMX's tiles if the machine has them, otherwise with vdpbf16ps;
// 0 if it has neither.
double BFloat16Peak(WorkerPool& pool);

// The instruction that BFloat16Peak uses: "tdpbf16ps", "vdpbf16ps" or "".
const char* BFloat16PeakInstruction();

// The speed of reading memory in order, in bytes/s. Takes longer: 256 MiB per worker, which stay
// allocated. One call at a time.
double ReadBandwidth(WorkerPool& pool);

// Seconds that count for a run on this pool: processor time of the calling thread if it works
// alone, since others may share the core; otherwise wall time.
double Now(const WorkerPool& pool);

// The wall clock, in seconds from a moment in the past.
double WallNow();

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_KERNELS_PEAKS_H_
