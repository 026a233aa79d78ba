// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_SIMD_CPU_H_
#define ATTEND_CORE_SIMD_CPU_H_

#include <string>
#include <vector>

namespace attend {

// SIMD extensions that the machine and its operating system offer.
struct CpuFeatures {
  bool avx2 = false;    // with FMA and F16C
  bool avx512 = false;  // F, BW, DQ and VL
  bool avx512_bf16 = false;
  bool amx_bf16 = false;  // TILE and BF16, and the process may use them
};

// Read once, at the first call, which also asks the operating system to allow AMX in all threads
// of the process. Thread-safe. Honours ONEDNN_MAX_CPU_ISA (the variable that oneDNN reads), so
// that one setting selects one path everywhere.
const CpuFeatures& GetCpuFeatures();

// The names of the features present, e.g. {"avx2", "avx512", "avx512_bf16"}.
std::vector<std::string> CpuFeatureNames();

}  // namespace attend

#endif  // ATTEND_CORE_SIMD_CPU_H_
