#ifndef ATTEND_TESTS_BENCH_KERNELS_PEAKS_H_
#define ATTEND_TESTS_BENCH_KERNELS_PEAKS_H_

#include "core/base/worker_pool.h"

namespace attend::bench {

// What the machine gives at this moment, on all workers of the pool together:
// each measurement takes about a millisecond of every one.

// Multiply-adds on registers alone, float32, in FLOP/s.
double FloatPeak(WorkerPool& pool);

// The same with vdpbf16ps; 0 where the CPU has none.
double BFloat16Peak(WorkerPool& pool);

// Reading memory in order, bytes/s. Takes longer: 256 MiB a worker.
double ReadBandwidth(WorkerPool& pool);

// Seconds that count for a run on this pool: processor time of the calling thread
// where it works alone, since others may share the core; else wall time.
double Now(const WorkerPool& pool);

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_KERNELS_PEAKS_H_
