#include "tests/bench/kernels/amx_peak.h"

#include "core/base/cpu.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#define ATTEND_HAS_AMX 1
#endif

namespace attend::bench {

#if ATTEND_HAS_AMX

namespace {

// Linux, Documentation/arch/x86/xstate.rst: a process asks for the tiles' data
// before its first use.
constexpr int kArchReqXcompPerm = 0x1023;
constexpr int kTileData = 18;

// Operand of ldtilecfg (Intel's Software Developer's Manual, volume 2A).
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

}  // namespace

bool AmxGranted() {
  static const bool granted =
      GetCpuFeatures().amx_bf16 && syscall(SYS_arch_prctl, kArchReqXcompPerm, kTileData) == 0;
  return granted;
}

// clang's assembler knows the instructions only in a function that names them.
__attribute__((target("amx-tile,amx-bf16"))) double MultiplyTiles(int64_t rounds) {
  const TileConfig config;
  alignas(64) uint16_t operand[512];
  for (uint16_t& value : operand) value = 0x3a83;  // about 0.001: zeros could cost less
  const int64_t stride = 64;
  __asm__ volatile(
      "ldtilecfg %0\n\t"
      "tilezero %%tmm0\n\t"
      "tilezero %%tmm1\n\t"
      "tilezero %%tmm2\n\t"
      "tilezero %%tmm3\n\t"
      "tileloadd (%1,%2,1), %%tmm4\n\t"
      "tileloadd (%1,%2,1), %%tmm5\n\t"
      "tileloadd (%1,%2,1), %%tmm6\n\t"
      "tileloadd (%1,%2,1), %%tmm7\n\t"
      :
      : "m"(config), "r"(operand), "r"(stride)
      : "memory");
  // Four sums: a product takes 52 cycles, one may begin every 16 (Intel's
  // optimization manual, chapter on AMX).
  for (int64_t round = 0; round < rounds; ++round) {
    __asm__ volatile(
        "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\t"
        "tdpbf16ps %%tmm7, %%tmm4, %%tmm1\n\t"
        "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\t"
        "tdpbf16ps %%tmm7, %%tmm5, %%tmm3\n\t" ::
            : "memory");
  }
  __asm__ volatile("tilerelease" ::: "memory");
  constexpr double kProduct = 2.0 * 16 * 16 * 32;  // [16, 32] x [32, 16]
  return 4.0 * kProduct * static_cast<double>(rounds);
}

#else

bool AmxGranted() {
  return false;
}

double MultiplyTiles(int64_t) {
  return 0.0;
}

#endif

}  // namespace attend::bench
