#ifndef ATTEND_CORE_ATTENTION_TILE_H_
#define ATTEND_CORE_ATTENTION_TILE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/types/span.h"
#include "core/attention/problem.h"
#include "core/base/arena.h"
#include "core/base/cpu.h"

namespace attend::internal {

// Query rows that one tile holds. They stand in the lanes of vectors: keys and
// values are then read one number at a time, as they lie in memory, and neither
// is packed or transposed, and maxima and sums over keys need no reduction
// within a vector. 64 rows are four AVX-512 vectors: with six keys that fills 24
// of 32 registers with sums and hides the latency of multiply-add twice over.
inline constexpr int kTileLanes = 64;

// Keys between two updates of the running maximum: their scores (16 KiB) share a
// first-level cache of 32 KiB and more with the queries or the sums beside them.
inline constexpr int kKeyBlock = 64;

// Keys of a block on an edge of what rows reach, such as the causal diagonal: one
// AVX-512 vector of rows, so that vectors of rows that read none of a block's keys
// skip it.
inline constexpr int kDiagonalBlock = 16;

// Tiles with so few lanes for each head of keys and values are computed by the kernel for
// few rows (simd/short-inl.h). It takes about D / 8 instructions for a key and a lane, the
// other one 2 D for a key and a vector of up to 16 lanes, which has the lower cost of
// starting but waits for memory: long keys are seldom in near caches. Measured, 32 lanes of
// 1,024 keys are 1.2 to 1.7 times as fast here from memory, and 0.6 to 0.9 times from the
// second-level cache. Rows that are converted first are near by then: 0.8 to 1 times, from
// 16 lanes on. AMX was never measured, and keeps the lower bound.
inline int MostFewLanes(const AttentionProblem& problem, const SequenceProblem& sequence) {
  if (sequence.key_length < 256) return 8;
  const CpuFeatures& cpu = GetCpuFeatures();
  const bool pairs = cpu.avx512_bf16 && !cpu.amx_bf16;
  const bool as_in_memory = problem.input_type == DataType::kFloat32 ||
                            (problem.input_type == DataType::kBFloat16 && pairs);
  if (!as_in_memory) return 16;
  return sequence.key_length < 1024 ? 24 : 32;
}

// Lane l is query row first_row + l % rows of head first_head + l / rows. The
// heads share one head of keys and values, or are all that share several; they have gates
// other than 0.
struct Tile {
  const AttentionProblem* problem = nullptr;
  const SequenceProblem* sequence = nullptr;
  int64_t first_head = 0;
  int64_t first_row = 0;
  int rows = 0;   // of each head
  int heads = 1;  // rows * heads <= kTileLanes
  // The keys of the sequence that it looks at.
  int64_t begin_key = 0;
  int64_t end_key = std::numeric_limits<int64_t>::max();

  int lanes() const { return rows * heads; }
  int64_t head(int lane) const { return first_head + lane / rows; }
  int64_t row(int lane) const { return first_row + lane % rows; }
  // Of a row of the tile, counted from 0, among the keys.
  int64_t position(int tile_row) const { return sequence->query_offset + first_row + tile_row; }
};

// How a tile's weights, of the problem's stage, join those in memory. `add` and
// `scale` are for probabilities.
struct WeightsStep {
  bool write = false;
  bool add = false;  // to what is there, otherwise it is overwritten
  float scale = 1.0f;
};

// Tiles that go through keys together, so that values are packed once for all, which takes
// about 7 % of the time of a tile by itself. The queries and sums of the others wait in the
// second-level cache meanwhile: 64 KiB a tile of float32 at D = 128, 48 KiB of bfloat16, so
// that four leave most of 1 MiB free; more than four could save less than 2 % more.
// Measured, S = 2048 and 4096: 4 to 6 % in bfloat16, 4 to 8 % in float32.
inline constexpr int kMostTiles = 4;

// As many as keep what waits within half of a second-level cache of 1 MiB.
inline int MostTilesTogether(const AttentionProblem& problem) {
  constexpr int64_t kMostBytes = int64_t{512} << 10;
  const int64_t bytes = kTileLanes * 4 * (problem.head_dim + problem.value_head_dim);
  return static_cast<int>(
      std::clamp<int64_t>(kMostBytes / std::max<int64_t>(bytes, 1), 1, kMostTiles));
}

// Computes up to kMostTiles tiles of one sequence and head, or a single one of several
// heads: output of their rows, and log-sum-exp and weights where asked for. Keys and values
// that causal, windows and lengths let no row of a tile read are not touched for it, but for
// weights of the scores before them. Takes its working memory from the arena: D = 128 needs
// about 390 KiB for four tiles, 425 KiB with AMX. The bits of a tile depend on it alone.
void RunTiles(absl::Span<const Tile> tiles, const WeightsStep& weights, Arena& arena);

// Computes what the tile's keys give to its rows, as Merge and WritePartial take it, and writes no
// output. The only way for tiles of several heads of keys and values. In the rest like
// RunTiles.
struct Partial;
void RunPartial(const Tile& tile, const Partial& to, Arena& arena);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_TILE_H_
