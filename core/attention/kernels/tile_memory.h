// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_KERNELS_TILE_MEMORY_H_
#define ATTEND_CORE_ATTENTION_KERNELS_TILE_MEMORY_H_

#include <algorithm>
#include <cstdint>

#include "core/attention/query_tile.h"
#include "core/base/arena.h"
#include "core/base/math.h"

namespace attend::internal {

// Additional scratch of the AMX kernel.
struct AmxMemory {
  // [Dv, rounded up to 16][kTileRows]: values as words of two keys, up to kKeyBlock / 2 words.
  float* values = nullptr;
  float* edge = nullptr;  // one AMX tile, 16 x 16 words
};

// Working memory of a tile, or of several tiles that share a pass over the keys: each tile has
// its own queries, sums and maxima; the rest is shared.
//
// In prefill every matrix has kTileRows columns, one per row of the tile. In decode the
// queries and outputs have rows instead, each PaddedWidth(D or Dv) floats long.
struct TileMemory {
  // Each tile has its own.
  float* queries;                     // [D]
  float* outputs;                     // [Dv]: sums of P v
  float *max, *sum, *alpha, *factor;  // one row each
  float *alibi_slope, *alibi_row;     // one row each

  // All tiles share these.
  float* scores;         // [kKeyBlock]: scores, then P
  float* bias;           // [kKeyBlock]
  float* staged;         // [kTileRows][row_floats]: rows before or after transposition
  float* widened;        // [kKeyBlock][row_floats]: converted keys, or values in decode
  float* packed_values;  // [kKeyBlock][row_floats]: converted or paired values
  float* discarded;      // [row_floats]: receives rows beyond the tile's size
  uint64_t* bits;        // [kKeyBlock]: bit r of word i is set if row r reads key i
  AmxMemory amx;         // only if requested
  int64_t row_floats;

  void TakeShared(ArenaFrame& frame, const HeadShape& heads, bool with_amx) {
    const int64_t widest = std::max({heads.head_dim, heads.value_head_dim, int64_t{kKeyBlock}});
    row_floats = RoundUp<int64_t>(widest, 16);
    scores = frame.Take<float>(kKeyBlock * kTileRows);
    bias = frame.Take<float>(kKeyBlock * kTileRows);
    staged = frame.Take<float>(kTileRows * row_floats);
    widened = frame.Take<float>(kKeyBlock * row_floats);
    packed_values = frame.Take<float>(kKeyBlock * row_floats);
    discarded = frame.Take<float>(row_floats);
    bits = frame.Take<uint64_t>(kKeyBlock);
    if (!with_amx) return;
    amx.values = frame.Take<float>(RoundUp<int64_t>(heads.value_head_dim, 16) * kTileRows);
    amx.edge = frame.Take<float>(16 * 16);
  }

  void TakeOwn(ArenaFrame& frame, const HeadShape& heads) {
    queries = frame.Take<float>(PaddedWidth(heads.head_dim) * kTileRows);
    outputs = frame.Take<float>(PaddedWidth(heads.value_head_dim) * kTileRows);
    for (float** one : {&max, &sum, &alpha, &factor, &alibi_slope, &alibi_row}) {
      *one = frame.Take<float>(kTileRows);
    }
  }

  // Rounds up to whole vectors, of bfloat16 too.
  static int64_t PaddedWidth(int64_t width) { return RoundUp<int64_t>(width, 32); }
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_KERNELS_TILE_MEMORY_H_
