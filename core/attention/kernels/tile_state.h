// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_KERNELS_TILE_STATE_H_
#define ATTEND_CORE_ATTENTION_KERNELS_TILE_STATE_H_

#include <cmath>
#include <cstdint>

#include "core/attention/kernels/tile_memory.h"
#include "core/attention/query_tile.h"
#include "core/attention/readable_keys.h"
#include "core/base/math.h"

namespace attend::internal {

// Whether queries, instead of scores, are multiplied by |scale|. Scores stay in units of |scale|
// until their softmax, which saves a multiplication per score; where that could overflow or lose
// them, queries carry the scale.
inline bool ScaleGoesIntoQueries(float scale) {
  const float magnitude = std::fabs(scale);
  return !(magnitude > 0x1p-60f && magnitude < 0x1p60f);
}

// The state that the steps of a tile share: how its scores are scaled, which keys it reads, and
// which rows have read a key.
struct TileState {
  TileState(const QueryTile& of, const TileMemory& in, bool decode)
      : tile(of), problem(*of.problem), sequence(*of.sequence), memory(in), is_decode(decode) {
    const AttentionParams& params = *problem.params;
    has_terms = sequence.mask.data != nullptr || sequence.has_bias();
    const bool fold = ScaleGoesIntoQueries(params.scale);
    query_factor = fold ? params.scale : std::copysign(1.0f, params.scale);
    scale = fold ? 1.0f : std::fabs(params.scale);
    // Terms are added to scaled scores.
    scaled = params.softcap != 0.0f || sequence.has_bias() || sequence.alibi_slopes != nullptr;
    unit = scaled ? kLog2E : scale * kLog2E;
    kv_head = tile.first_head / problem.group_size();
    limited = params.limits_keys();
    readable = FindReadableKeys(tile);
    // Edges begin and end at absolute multiples of their blocks, as rows of the diagonal do.
    if (readable.full_begin > readable.begin) {
      readable.full_begin = RoundUp<int64_t>(readable.full_begin, kEdgeBlock);
    }
    if (readable.full_end < readable.end) {
      readable.full_end = readable.full_end / kEdgeBlock * kEdgeBlock;
    }
    // Without keys that all rows read, all blocks are on an edge.
    if (readable.full_begin >= readable.full_end) {
      readable.full_begin = readable.full_end = readable.end;
    }
  }

  // Whether the row has read at least one key.
  bool HasRead(int row) const { return ((read_rows >> row) & 1) != 0; }

  const QueryTile& tile;
  const AttentionProblem& problem;
  const SequenceProblem& sequence;
  const TileMemory& memory;
  const bool is_decode;   // queries and outputs are rows, otherwise columns
  float query_factor;     // factor of the scale that queries carry
  float scale;            // the remaining factor, positive
  float unit;             // exponentials of scores are 2^(score * unit)
  bool scaled;            // scores are multiplied by scale before their softmax
  bool limited;           // positions limit what a row reads
  bool has_terms;         // there is a mask or a bias
  int64_t kv_head;        // the tile's first head of keys and values
  ReadableKeys readable;  // [full_begin, full_end) is computed in whole blocks

  bool first = true;       // no block has been added yet
  uint64_t read_rows = 0;  // bit r is set if row r has read a key
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_KERNELS_TILE_STATE_H_
