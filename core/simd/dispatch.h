// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_SIMD_DISPATCH_H_
#define ATTEND_CORE_SIMD_DISPATCH_H_

namespace attend::internal {

// Limits Highway's dynamic dispatch to GetCpuFeatures(), so that ONEDNN_MAX_CPU_ISA applies to
// our own SIMD paths too. The first call does the work. Thread-safe.
void LimitSimdTargets();

}  // namespace attend::internal

// The function of this name, exported by HWY_EXPORT, for the best SIMD target that the machine
// has and the process may use: ATTEND_DISPATCH(Function)(arguments). It replaces
// HWY_DYNAMIC_DISPATCH, which is used nowhere else. This header includes nothing of Highway,
// whose foreach_target.h must come before its highway.h.
#define ATTEND_DISPATCH(function) \
  (::attend::internal::LimitSimdTargets(), HWY_DYNAMIC_DISPATCH(function))

#endif  // ATTEND_CORE_SIMD_DISPATCH_H_
