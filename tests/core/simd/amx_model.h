// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_SIMD_AMX_MODEL_H_
#define ATTEND_TESTS_CORE_SIMD_AMX_MODEL_H_

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/simd/cpu.h"

namespace attend::internal {

// Adds the product of tiles `a` and `b` to `c`, as TDPBF16PS does.
void MulAddTile(uint32_t* c, const uint32_t* a, const uint32_t* b);

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
    MulAddTile(Tile(kC), Tile(kA), Tile(kB));
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
};

}  // namespace attend::internal

#endif  // ATTEND_TESTS_CORE_SIMD_AMX_MODEL_H_
