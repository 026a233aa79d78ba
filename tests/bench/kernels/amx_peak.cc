// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kernels/amx_peak.h"

#include "core/simd/amx_registers.h"

namespace attend::bench {

#if defined(__x86_64__)

double MultiplyTiles(int64_t rounds) {
  using Tiles = internal::AmxRegisters;
  const Tiles tiles;
  alignas(64) uint16_t operand[512];
  for (uint16_t& value : operand) value = 0x3a83;  // about 0.001: zeros could cost less
  constexpr int64_t kStride = 64;
  Tiles::Load<4>(operand, kStride);
  Tiles::Load<5>(operand, kStride);
  Tiles::Load<6>(operand, kStride);
  Tiles::Load<7>(operand, kStride);
  // Four sums: a product takes 52 cycles, and one may begin every 16 (Intel's optimization
  // manual, chapter on AMX).
  for (int64_t round = 0; round < rounds; ++round) {
    Tiles::MulAdd<0, 4, 6>();
    Tiles::MulAdd<1, 4, 7>();
    Tiles::MulAdd<2, 5, 6>();
    Tiles::MulAdd<3, 5, 7>();
  }
  constexpr double kProduct = 2.0 * 16 * 16 * 32;  // [16, 32] x [32, 16]
  return 4.0 * kProduct * static_cast<double>(rounds);
}

#else

double MultiplyTiles(int64_t) {
  return 0.0;
}

#endif

}  // namespace attend::bench
