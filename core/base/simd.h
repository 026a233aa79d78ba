#ifndef ATTEND_CORE_BASE_SIMD_H_
#define ATTEND_CORE_BASE_SIMD_H_

namespace attend {

// Makes Highway's dynamic dispatch keep to GetCpuFeatures(), so that
// ONEDNN_MAX_CPU_ISA forces our own SIMD paths too. Call before every
// HWY_DYNAMIC_DISPATCH; the first call does the work. Thread-safe.
void LimitSimdTargets();

}  // namespace attend

#endif  // ATTEND_CORE_BASE_SIMD_H_
