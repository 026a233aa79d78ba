// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_BENCH_KERNELS_AMX_PEAK_H_
#define ATTEND_TESTS_BENCH_KERNELS_AMX_PEAK_H_

#include <cstdint>

namespace attend::bench {

// Multiplies tiles on registers alone: `rounds` times four independent products. Returns the
// number of operations. Precondition: GetCpuFeatures().amx_bf16.
double MultiplyTiles(int64_t rounds);

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_KERNELS_AMX_PEAK_H_
