#include "core/attention/tile.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/attention/amx_tiles.h"
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
#include "core/attention/simd/softmax-inl.h"
#include "core/attention/simd/transpose-inl.h"
#include "core/attention/simd/values-inl.h"
// vectors, scores and transposition first
#include "core/attention/simd/amx-inl.h"
// the exponential before what uses it, the parts before the whole
#include "core/attention/simd/score-terms-inl.h"
#include "core/attention/simd/tile-inl.h"

template <class Product, class Store>
void RunTileAs(const Tile& tile, const WeightsStep& weights) {
  // Grows to what the widest head needs: D = 128 takes about 200 KiB.
  thread_local Scratch scratch(size_t{4} << 20);
  TileMemory memory;
  constexpr bool kAmx = kOnTiles<Product>;
  memory.Carve(scratch.Reserve(memory.Carve(nullptr, *tile.problem, kAmx)), *tile.problem, kAmx);
  TileRun<Product, Store>(tile, memory).Run(weights);
}

void RunTileHere(const Tile& tile, const WeightsStep& weights) {
#if HWY_TARGET == HWY_AVX3
  const AttentionProblem& problem = *tile.problem;
  if (problem.input_type == DataType::kBFloat16 && problem.head_dim % 2 == 0 &&
      !TileRun<BFloat16Product, BFloat16PairStore>::UnitIsUnsafe(problem.scale)) {
    if (Tiles::Available()) {
      const Tiles tiles;
      return RunTileAs<AmxProduct, BFloat16PairStore>(tile, weights);
    }
    if (GetCpuFeatures().avx512_bf16) {
      return RunTileAs<BFloat16Product, BFloat16PairStore>(tile, weights);
    }
  }
#endif
  RunTileAs<FloatProduct, FloatStore>(tile, weights);
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend::internal {

HWY_EXPORT(RunTileHere);

void RunTile(const Tile& tile, const WeightsStep& weights) {
  LimitSimdTargets();
  HWY_DYNAMIC_DISPATCH(RunTileHere)(tile, weights);
}

}  // namespace attend::internal
#endif  // HWY_ONCE
