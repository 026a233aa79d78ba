// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_SIMD_AMX_MODEL_H_
#define ATTEND_TESTS_CORE_SIMD_AMX_MODEL_H_

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/simd/cpu.h"

namespace attend::internal {

// The operations of core/simd/amx_registers.h in software, after the instructions' pseudocode in
// Intel's Architecture Instruction Set Extensions reference, for machines without AMX. Ends the
// program if tiles are used outside an object's life or by two objects.
class AmxModel {
 public:
  // The CPU features that the kernel's path needs besides AMX.
  static bool Available() { return GetCpuFeatures().avx512_bf16; }

  AmxModel() {
    Require(!registers().alive);
    registers() = {};
    registers().alive = true;
  }
  ~AmxModel() { registers().alive = false; }
  AmxModel(const AmxModel&) = delete;

  template <int kTile>
  static void Zero() {
    std::memset(Tile(kTile), 0, kTileBytes);
  }

  template <int kTile>
  static void Load(const void* rows, int64_t stride) {
    auto* tile = reinterpret_cast<char*>(Tile(kTile));
    for (int row = 0; row < 16; ++row) {
      std::memcpy(tile + row * 64, static_cast<const char*>(rows) + row * stride, 64);
    }
  }

  template <int kTile>
  static void Store(void* rows, int64_t stride) {
    const auto* tile = reinterpret_cast<const char*>(Tile(kTile));
    for (int row = 0; row < 16; ++row) {
      std::memcpy(static_cast<char*>(rows) + row * stride, tile + row * 64, 64);
    }
  }

  template <int kC, int kA, int kB>
  static void MulAdd() {
    uint32_t *c = Tile(kC), *a = Tile(kA), *b = Tile(kB);
    for (int m = 0; m < 16; ++m) {
      float low[16] = {}, high[16] = {};
      for (int k = 0; k < 16; ++k) {
        const uint32_t word = a[m * 16 + k];
        for (int n = 0; n < 16; ++n) {
          const uint32_t other = b[k * 16 + n];
          low[n] = Flush(std::fma(Low(word), Low(other), low[n]));
          high[n] = Flush(std::fma(High(word), High(other), high[n]));
        }
      }
      for (int n = 0; n < 16; ++n) {
        float sum;
        std::memcpy(&sum, &c[m * 16 + n], sizeof(sum));
        sum = Flush(Flush(sum) + Flush(low[n] + high[n]));
        std::memcpy(&c[m * 16 + n], &sum, sizeof(sum));
      }
    }
    products().fetch_add(1, std::memory_order_relaxed);
  }

  // The number of calls of MulAdd by all threads so far.
  static int64_t Products() { return products().load(); }

 private:
  static constexpr size_t kTileBytes = 16 * 64;
  struct Registers {
    bool alive = false;
    alignas(64) uint32_t words[8][16 * 16] = {};
  };

  static Registers& registers() {
    static thread_local Registers registers;
    return registers;
  }
  static std::atomic<int64_t>& products() {
    static std::atomic<int64_t> count{0};
    return count;
  }
  static void Require(bool condition) {
    if (!condition) std::abort();
  }
  static uint32_t* Tile(int tile) {
    Require(registers().alive);
    return registers().words[tile];
  }

  // Replaces denormal numbers by 0 of the same sign.
  static float Flush(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
  static float FromBits(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof(x));
    return Flush(x);
  }
  static float Low(uint32_t word) { return FromBits(word << 16); }
  static float High(uint32_t word) { return FromBits(word & 0xffff0000u); }
};

}  // namespace attend::internal

#endif  // ATTEND_TESTS_CORE_SIMD_AMX_MODEL_H_
