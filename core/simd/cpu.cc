// SPDX-License-Identifier: Apache-2.0
#include "core/simd/cpu.h"

#include <cstdint>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace attend {
namespace {

// The SIMD level that ONEDNN_MAX_CPU_ISA allows; its values are oneDNN's.
enum Level { kBaseline, kAvx2, kAvx512, kAvx512Bf16, kAmx };

Level MaxLevel() {
  const char* value = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (value == nullptr) value = std::getenv("DNNL_MAX_CPU_ISA");
  const absl::string_view isa = value == nullptr ? "" : value;
  if (isa == "SSE41" || isa == "AVX") return kBaseline;
  if (absl::StartsWith(isa, "AVX2")) return kAvx2;
  if (absl::StrContains(isa, "AMX")) return kAmx;
  if (isa == "AVX512_CORE_BF16" || isa == "AVX512_CORE_FP16") return kAvx512Bf16;
  if (absl::StartsWith(isa, "AVX512")) return kAvx512;
  return kAmx;  // unset, DEFAULT, ALL
}

#if defined(__x86_64__)

constexpr uint64_t kAvxState = 0x6;       // XCR0: SSE and AVX
constexpr uint64_t kAvx512State = 0xe6;   // also opmask, ZMM
constexpr uint64_t kTileState = 0x60000;  // tile configuration and data

uint64_t EnabledState() {
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

bool Bit(uint32_t word, int bit) {
  return ((word >> bit) & 1) != 0;
}

// Linux gives a process the 8 KiB of tile data in each thread's state only on request
// (Documentation/arch/x86/xstate.rst); without it the first tile instruction ends the process.
// The request holds for all threads, and repeating it does no harm: oneDNN makes it too.
bool AskForTileData() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

// The bits are those of Intel's Software Developer's Manual, volume 2A, CPUID.
CpuFeatures Detect(Level level) {
  CpuFeatures found;
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return found;
  const bool fma = Bit(ecx, 12), osxsave = Bit(ecx, 27), f16c = Bit(ecx, 29);
  if (!osxsave) return found;
  const uint64_t state = EnabledState();
  if ((state & kAvxState) != kAvxState) return found;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return found;
  const uint32_t sub_leaves = eax;
  found.avx2 = fma && f16c && Bit(ebx, 5) && Bit(ebx, 8);  // AVX2 and BMI2
  if ((state & kAvx512State) != kAvx512State) return found;
  found.avx512 = found.avx2 && Bit(ebx, 16) && Bit(ebx, 17) && Bit(ebx, 30) && Bit(ebx, 31);
  const bool amx = Bit(edx, 22) && Bit(edx, 24) && (state & kTileState) == kTileState;
  if (!found.avx512 || sub_leaves < 1) return found;
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) == 0) return found;
  found.avx512_bf16 = Bit(eax, 5);
  found.amx_bf16 = amx && found.avx512_bf16 && level >= kAmx && AskForTileData();
  return found;
}

#else

CpuFeatures Detect(Level /*level*/) {
  return {};
}

#endif

CpuFeatures DetectWithin(Level level) {
  CpuFeatures found = Detect(level);
  found.avx2 &= level >= kAvx2;
  found.avx512 &= level >= kAvx512;
  found.avx512_bf16 &= level >= kAvx512Bf16;
  return found;
}

}  // namespace

const CpuFeatures& GetCpuFeatures() {
  static const CpuFeatures features = DetectWithin(MaxLevel());
  return features;
}

std::vector<std::string> CpuFeatureNames() {
  const CpuFeatures& cpu = GetCpuFeatures();
  std::vector<std::string> names;
  if (cpu.avx2) names.push_back("avx2");
  if (cpu.avx512) names.push_back("avx512");
  if (cpu.avx512_bf16) names.push_back("avx512_bf16");
  if (cpu.amx_bf16) names.push_back("amx_bf16");
  return names;
}

}  // namespace attend
