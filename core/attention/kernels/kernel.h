// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_KERNELS_KERNEL_H_
#define ATTEND_CORE_ATTENTION_KERNELS_KERNEL_H_

#include "absl/types/span.h"
#include "core/attention/query_tile.h"
#include "core/attention/state.h"
#include "core/base/arena.h"
#include "core/simd/prefetch.h"

namespace attend::internal {

// How the kernel lays out query rows, keys and values in vectors.
enum class Kernel {
  kPrefill,  // each query row occupies a vector lane: many rows
  kDecode,   // features occupy vector lanes, so that memory is read in order: few rows
};

// How the kernel multiplies.
enum class Arithmetic {
  kFloat32,        // vectors of float32, whatever the type of the inputs
  kBFloat16Pairs,  // vdpbf16ps on pairs of bfloat16; needs avx512_bf16
  kAmx,            // AMX tiles on pairs of bfloat16, prefill only; needs amx_bf16
};

// The kernels' entry points. The bits of a tile's results depend on the tile and the arithmetic
// alone. Keys and values that no row of the tile may read because of causal, windows or lengths
// are not touched, except for weights of the stages before these apply. Working memory comes
// from the arena: D = Dv = 128 takes about 390 KiB for four tiles, 425 KiB with AMX. Thread-safe
// where arenas differ.
struct KernelTable {
  // Computes up to kMaxTilesPerTask tiles of one sequence and head, or a single tile of several
  // heads: the output of their rows, and log-sum-exp and weights if requested.
  void (*prefill)(absl::Span<const QueryTile> tiles, Arithmetic arithmetic,
                  const WeightsStep& weights, Arena& arena);

  // Computes the state of a tile over its keys and writes nothing else.
  void (*prefill_state)(const QueryTile& tile, Arithmetic arithmetic, const AttentionState& to,
                        Arena& arena);

  // As prefill_state, by the decode kernel, the only one for tiles of several heads of keys and
  // values.
  void (*decode_state)(const QueryTile& tile, Arithmetic arithmetic, const PrefetchPolicy& prefetch,
                       const AttentionState& to, Arena& arena);

  // The policy that decode prefetches keys and values by.
  PrefetchPolicy decode_prefetch;
};

void Prefill(absl::Span<const QueryTile> tiles, Arithmetic arithmetic, const WeightsStep& weights,
             Arena& arena);
void PrefillState(const QueryTile& tile, Arithmetic arithmetic, const AttentionState& to,
                  Arena& arena);
void DecodeState(const QueryTile& tile, Arithmetic arithmetic, const PrefetchPolicy& prefetch,
                 const AttentionState& to, Arena& arena);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_KERNELS_KERNEL_H_
