// SPDX-License-Identifier: Apache-2.0
#include "core/attention/kernels/kernel.h"
#include "core/simd/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/attention/kernels/decode.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/attention/kernels/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {

void DecodeStateSimd(const QueryTile& tile, Arithmetic arithmetic, const PrefetchPolicy& prefetch,
                     const AttentionState& to, Arena& arena) {
  WithDecodeTile(tile, arithmetic, prefetch, arena, [&](auto& loop) { loop.ComputeState(to); });
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend::internal {

HWY_EXPORT(DecodeStateSimd);

void DecodeState(const QueryTile& tile, Arithmetic arithmetic, const PrefetchPolicy& prefetch,
                 const AttentionState& to, Arena& arena) {
  ATTEND_DISPATCH(DecodeStateSimd)(tile, arithmetic, prefetch, to, arena);
}

}  // namespace attend::internal
#endif  // HWY_ONCE
