// SPDX-License-Identifier: Apache-2.0

// The machine under test with a model of AMX in place of its instructions. It computes
// bfloat16 prefill through the model wherever the CPU has AVX512-BF16.

#include "core/attention/attention.h"
#include "core/simd/dispatch.h"
#include "tests/core/attention/compare.h"
#include "tests/core/simd/amx_model.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/core/attention/kernels/machine_with_amx_model.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/attention/kernels/prefill-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {

void PrefillOnModel(absl::Span<const QueryTile> tiles, Arithmetic arithmetic,
                    const WeightsStep& weights, Arena& arena) {
  WithPrefillTiles<AmxModel>(tiles, arithmetic, arena, [&](auto& loops) { loops.Run(weights); });
}

void PrefillStateOnModel(const QueryTile& tile, Arithmetic arithmetic, const AttentionState& to,
                         Arena& arena) {
  WithPrefillTiles<AmxModel>({&tile, 1}, arithmetic, arena,
                             [&](auto& loops) { loops.first().ComputeState(to); });
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend {
namespace internal {

HWY_EXPORT(PrefillOnModel);
HWY_EXPORT(PrefillStateOnModel);

Machine MakeMachineWithAmxModel() {
  static const KernelTable kernels = {
      [](absl::Span<const QueryTile> tiles, Arithmetic arithmetic, const WeightsStep& weights,
         Arena& arena) {
        ATTEND_DISPATCH(PrefillOnModel)
        (tiles, arithmetic, weights, arena);
      },
      [](const QueryTile& tile, Arithmetic arithmetic, const AttentionState& to, Arena& arena) {
        ATTEND_DISPATCH(PrefillStateOnModel)(tile, arithmetic, to, arena);
      },
      DecodeState, ThisMachine().kernels->decode_prefetch};
  Machine machine = {GetCpuFeatures(), &kernels};
  machine.cpu.amx_bf16 = AmxModel::Available();
  return machine;
}

}  // namespace internal

const internal::Machine& MachineUnderTest() {
  static const internal::Machine machine = internal::MakeMachineWithAmxModel();
  return machine;
}

}  // namespace attend
#endif  // HWY_ONCE
