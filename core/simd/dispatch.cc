// SPDX-License-Identifier: Apache-2.0
#include "core/simd/dispatch.h"

#include <hwy/targets.h>

#include "core/simd/cpu.h"

namespace attend::internal {
namespace {

bool LimitOnce() {
#if defined(__x86_64__)
  const CpuFeatures& cpu = GetCpuFeatures();
  int64_t disabled = 0;
  if (!cpu.avx2) disabled |= HWY_AVX2;
  if (!cpu.avx512) disabled |= HWY_AVX3;
  if (disabled != 0) hwy::DisableTargets(disabled);
#endif
  return true;
}

}  // namespace

void LimitSimdTargets() {
  static const bool limited = LimitOnce();
  (void)limited;
}

}  // namespace attend::internal
