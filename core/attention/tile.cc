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
// the exponential before what uses it, the parts before the whole
#include "core/attention/simd/score-terms-inl.h"
#include "core/attention/simd/tile-inl.h"

template <class Product, class Store, class Body>
void WithTile(const Tile& tile, const Body& body) {
  // Grows to what the widest head needs: D = 128 takes about 200 KiB.
  thread_local Scratch scratch(size_t{4} << 20);
  TileMemory memory;
  constexpr bool kAmx = kOnTiles<Product>;
  memory.Carve(scratch.Reserve(memory.Carve(nullptr, *tile.problem, kAmx)), *tile.problem, kAmx);
  TileRun<Product, Store> run(tile, memory);
  body(run);
}

// The way to multiply that suits the problem and the machine. For few rows tiles of AMX
// would mostly hold nothing.
template <class Body>
void Choose(const Tile& tile, bool few_rows, const Body& body) {
#if HWY_TARGET == HWY_AVX3
  const AttentionProblem& problem = *tile.problem;
  if (problem.input_type == DataType::kBFloat16 && problem.head_dim % 2 == 0 &&
      !TileRun<BFloat16Product, BFloat16PairStore>::UnitIsUnsafe(problem.scale)) {
    if (!few_rows && Tiles::Available()) {
      const Tiles tiles;
      return WithTile<AmxProduct, BFloat16PairStore>(tile, body);
    }
    if (GetCpuFeatures().avx512_bf16) {
      return WithTile<BFloat16Product, BFloat16PairStore>(tile, body);
    }
  }
#endif
  (void)few_rows;
  WithTile<FloatProduct, FloatStore>(tile, body);
}

void RunTileHere(const Tile& tile, const WeightsStep& weights) {
  Choose(tile, false, [&](auto& run) { run.Run(weights); });
}

void RunPartialHere(const Tile& tile, const Partial& to) {
  Choose(tile, IsShort(tile), [&](auto& run) { run.RunPartial(to); });
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
