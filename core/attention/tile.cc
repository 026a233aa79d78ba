#include "core/attention/tile.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/types/span.h"
#include "core/attention/amx_tiles.h"
#include "core/attention/partial.h"
#include "core/attention/terms.h"
#include "core/base/arena.h"
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
// rows before short
#include "core/attention/simd/rows-ahead-inl.h"
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

// body(runs) with the tiles in memory of the arena.
template <class Products, class Store, class Body>
void WithTiles(absl::Span<const Tile> tiles, Arena& arena, const Body& body) {
  using Run = TileRun<Products, Store>;
  const AttentionProblem& problem = *tiles[0].problem;
  constexpr bool kAmx = kOnTiles<typename Products::Product>;
  TileMemory memory[kMostTiles];
  const size_t bytes = memory[0].Carve(nullptr, problem, kAmx);
  Carver own(nullptr);
  for (size_t i = 1; i < tiles.size(); ++i) memory[i].CarveOwn(own, problem);
  ArenaFrame frame(arena);
  std::byte* data = frame.Take<std::byte>(bytes + own.used());
  memory[0].Carve(data, problem, kAmx);
  Carver others(data + bytes);
  std::optional<Run> places[kMostTiles];
  Run* runs[kMostTiles];
  for (size_t i = 0; i < tiles.size(); ++i) {
    if (i > 0) {
      memory[i] = memory[0];
      memory[i].CarveOwn(others, problem);
    }
    runs[i] = &places[i].emplace(tiles[i], memory[i]);
  }
  body(absl::Span<Run* const>(runs, tiles.size()));
}

// Whether the problem's numbers can be multiplied as pairs of bfloat16.
inline bool InPairs(const AttentionProblem& problem) {
  return problem.input_type == DataType::kBFloat16 && problem.head_dim % 2 == 0 &&
         !UnitIsUnsafe(problem.params->scale);
}

// The way to multiply that suits the problem and the machine.
template <class Body>
void WithManyRows(absl::Span<const Tile> tiles, Arena& arena, const Body& body) {
#if HWY_TARGET == HWY_AVX3
  if (InPairs(*tiles[0].problem)) {
    if (Tiles::Available()) {
      const Tiles registers;
      return WithTiles<ManyRows<AmxProduct>, BFloat16PairStore>(tiles, arena, body);
    }
    if (GetCpuFeatures().avx512_bf16) {
      return WithTiles<ManyRows<BFloat16Product>, BFloat16PairStore>(tiles, arena, body);
    }
  }
#endif
  WithTiles<ManyRows<FloatProduct>, FloatStore>(tiles, arena, body);
}

// The same without tiles of AMX, which would mostly hold nothing.
template <class Body>
void WithFewRows(absl::Span<const Tile> tiles, Arena& arena, const Body& body) {
#if HWY_TARGET == HWY_AVX3
  if (InPairs(*tiles[0].problem) && GetCpuFeatures().avx512_bf16) {
    return WithTiles<FewRows<BFloat16Product>, BFloat16PairStore>(tiles, arena, body);
  }
#endif
  WithTiles<FewRows<FloatProduct>, FloatStore>(tiles, arena, body);
}

void RunTilesHere(absl::Span<const Tile> tiles, const WeightsStep& weights, Arena& arena) {
  WithManyRows(tiles, arena,
               [&](auto runs) { std::decay_t<decltype(*runs[0])>::Run(runs, weights); });
}

void RunPartialHere(const Tile& tile, const Partial& to, Arena& arena) {
  const auto body = [&](auto runs) { runs[0]->RunPartial(to); };
  if (IsShort(tile)) return WithFewRows({&tile, 1}, arena, body);
  WithManyRows({&tile, 1}, arena, body);
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend::internal {

HWY_EXPORT(RunTilesHere);
HWY_EXPORT(RunPartialHere);

void RunTiles(absl::Span<const Tile> tiles, const WeightsStep& weights, Arena& arena) {
  LimitSimdTargets();
  HWY_DYNAMIC_DISPATCH(RunTilesHere)(tiles, weights, arena);
}

void RunPartial(const Tile& tile, const Partial& to, Arena& arena) {
  LimitSimdTargets();
  HWY_DYNAMIC_DISPATCH(RunPartialHere)(tile, to, arena);
}

}  // namespace attend::internal
#endif  // HWY_ONCE
