#include "core/attention/tile.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/attention/amx_tiles.h"
#include "core/attention/partial.h"
#include "core/attention/terms.h"
#include "core/base/cpu.h"
#include "core/base/scratch.h"
#include "core/base/simd.h"
#include "core/tensor/convert.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/attention/tile.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Not include guarded: once for each target.
#include "core/linalg/simd/vectors-inl.h"
// vectors first
#include "core/linalg/simd/products-inl.h"
// products before scores
#include "core/attention/simd/scores-inl.h"
#include "core/attention/simd/short-inl.h"
#include "core/attention/simd/softmax-inl.h"
#include "core/attention/simd/transpose-inl.h"
#include "core/attention/simd/values-inl.h"
// vectors, scores and transposition first
#include "core/attention/simd/amx-inl.h"
// the exponential before what uses it
#include "core/attention/simd/score-terms-inl.h"
// the parts of a tile before the whole
#include "core/attention/simd/tile-memory-inl.h"
#include "core/attention/simd/tile-state-inl.h"
// the state before its blocks and operands
#include "core/attention/simd/key-blocks-inl.h"
#include "core/attention/simd/operands-inl.h"
// operands before products and scores
#include "core/attention/simd/block-scores-inl.h"
#include "core/attention/simd/non-finite-inl.h"
// what is not finite before products
#include "core/attention/simd/few-rows-inl.h"
#include "core/attention/simd/many-rows-inl.h"
#include "core/attention/simd/output-inl.h"
#include "core/attention/simd/weights-inl.h"
// last
#include "core/attention/simd/tile-inl.h"

template <class Products, class Store, class Body>
void WithTile(const Tile& tile, const Body& body) {
  // Grows to what the widest head needs: D = 128 takes about 200 KiB.
  thread_local Scratch scratch(size_t{4} << 20);
  TileMemory memory;
  constexpr bool kAmx = kOnTiles<typename Products::Product>;
  memory.Carve(scratch.Reserve(memory.Carve(nullptr, *tile.problem, kAmx)), *tile.problem, kAmx);
  TileRun<Products, Store> run(tile, memory);
  body(run);
}

// Whether the problem's numbers can be multiplied as pairs of bfloat16.
inline bool InPairs(const AttentionProblem& problem) {
  return problem.input_type == DataType::kBFloat16 && problem.head_dim % 2 == 0 &&
         !UnitIsUnsafe(problem.scale);
}

// The way to multiply that suits the problem and the machine.
template <class Body>
void WithManyRows(const Tile& tile, const Body& body) {
#if HWY_TARGET == HWY_AVX3
  if (InPairs(*tile.problem)) {
    if (Tiles::Available()) {
      const Tiles tiles;
      return WithTile<ManyRows<AmxProduct>, BFloat16PairStore>(tile, body);
    }
    if (GetCpuFeatures().avx512_bf16) {
      return WithTile<ManyRows<BFloat16Product>, BFloat16PairStore>(tile, body);
    }
  }
#endif
  WithTile<ManyRows<FloatProduct>, FloatStore>(tile, body);
}

// The same without tiles of AMX, which would mostly hold nothing.
template <class Body>
void WithFewRows(const Tile& tile, const Body& body) {
#if HWY_TARGET == HWY_AVX3
  if (InPairs(*tile.problem) && GetCpuFeatures().avx512_bf16) {
    return WithTile<FewRows<BFloat16Product>, BFloat16PairStore>(tile, body);
  }
#endif
  WithTile<FewRows<FloatProduct>, FloatStore>(tile, body);
}

void RunTileHere(const Tile& tile, const WeightsStep& weights) {
  WithManyRows(tile, [&](auto& run) { run.Run(weights); });
}

void RunPartialHere(const Tile& tile, const Partial& to) {
  const auto body = [&](auto& run) { run.RunPartial(to); };
  if (IsShort(tile)) return WithFewRows(tile, body);
  WithManyRows(tile, body);
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend::internal {

HWY_EXPORT(RunTileHere);
HWY_EXPORT(RunPartialHere);

void RunTile(const Tile& tile, const WeightsStep& weights) {
  LimitSimdTargets();
  HWY_DYNAMIC_DISPATCH(RunTileHere)(tile, weights);
}

void RunPartial(const Tile& tile, const Partial& to) {
  LimitSimdTargets();
  HWY_DYNAMIC_DISPATCH(RunPartialHere)(tile, to);
}

}  // namespace attend::internal
#endif  // HWY_ONCE
