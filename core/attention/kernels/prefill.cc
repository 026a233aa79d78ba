// SPDX-License-Identifier: Apache-2.0
#include "core/attention/kernels/kernel.h"
#include "core/simd/amx_registers.h"
#include "core/simd/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/attention/kernels/prefill.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/attention/kernels/prefill-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {

void PrefillSimd(absl::Span<const QueryTile> tiles, Arithmetic arithmetic,
                 const WeightsStep& weights, Arena& arena) {
  WithPrefillTiles<AmxRegisters>(tiles, arithmetic, arena,
                                 [&](auto& loops) { loops.Run(weights); });
}

void PrefillStateSimd(const QueryTile& tile, Arithmetic arithmetic, const AttentionState& to,
                      Arena& arena) {
  WithPrefillTiles<AmxRegisters>({&tile, 1}, arithmetic, arena,
                                 [&](auto& loops) { loops.first().ComputeState(to); });
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend::internal {

HWY_EXPORT(PrefillSimd);
HWY_EXPORT(PrefillStateSimd);

void Prefill(absl::Span<const QueryTile> tiles, Arithmetic arithmetic, const WeightsStep& weights,
             Arena& arena) {
  ATTEND_DISPATCH(PrefillSimd)(tiles, arithmetic, weights, arena);
}

void PrefillState(const QueryTile& tile, Arithmetic arithmetic, const AttentionState& to,
                  Arena& arena) {
  ATTEND_DISPATCH(PrefillStateSimd)(tile, arithmetic, to, arena);
}

}  // namespace attend::internal
#endif  // HWY_ONCE
