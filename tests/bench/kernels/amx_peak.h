#ifndef ATTEND_TESTS_BENCH_KERNELS_AMX_PEAK_H_
#define ATTEND_TESTS_BENCH_KERNELS_AMX_PEAK_H_

#include <cstdint>

namespace attend::bench {

// Whether tile instructions may run: the CPU has AMX-BF16 and the kernel grants
// this process the tiles' state. Asked once. Thread-safe.
bool AmxGranted();

// Multiplies tiles on registers alone, `rounds` times four independent products.
// Returns the operations done. Precondition: AmxGranted().
double MultiplyTiles(int64_t rounds);

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_KERNELS_AMX_PEAK_H_
