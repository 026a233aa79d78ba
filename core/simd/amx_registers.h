// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_SIMD_AMX_REGISTERS_H_
#define ATTEND_CORE_SIMD_AMX_REGISTERS_H_

#include <cstdint>

#include "core/simd/cpu.h"

namespace attend::internal {

// The tile registers 0 to 7 of AMX, each 16 rows of 64 bytes. They belong to the constructing
// thread from construction to destruction; each thread has one object at a time. Their contents
// begin as zeros and are lost with the object, so that a switch to another thread need not save
// them.
//
// No compiler flag is needed: the assembler provides the instructions, and no compiler uses tile
// registers unless told to. Precondition of construction: Available(). See Intel's Architecture
// Instruction Set Extensions reference, chapter AMX.
class AmxRegisters {
 public:
  static bool Available() { return GetCpuFeatures().amx_bf16; }

#if defined(__x86_64__)
  AmxRegisters() {
    struct alignas(64) Config {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    static_assert(sizeof(Config) == 64);
    static constexpr Config kConfig;
    __asm__ volatile("ldtilecfg %0" : : "m"(kConfig));
  }
  ~AmxRegisters() {
    __asm__ volatile("tilerelease");
  }
  AmxRegisters(const AmxRegisters&) = delete;

  template <int kTile>
  static void Zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }

  // Loads 16 rows that are `stride` bytes apart, at any alignment.
  template <int kTile>
  static void Load(const void* rows, int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                     :
                     : "r"(rows), "r"(stride), "i"(kTile)
                     : "memory");
  }
  template <int kTile>
  static void Store(void* rows, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)"
                     :
                     : "r"(rows), "r"(stride), "i"(kTile)
                     : "memory");
  }

  // C[m][n] += sum over k of A[m][k] * B[k][n] for 16 x 16 x 16 words: floats in C, pairs of
  // bfloat16 in A and B, whose products are added. Rounds to nearest even, reads denormal
  // numbers as 0 and writes 0 for them, as vdpbf16ps does.
  template <int kC, int kA, int kB>
  static void MulAdd() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
#endif
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_SIMD_AMX_REGISTERS_H_
