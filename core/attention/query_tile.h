// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_QUERY_TILE_H_
#define ATTEND_CORE_ATTENTION_QUERY_TILE_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "core/attention/problem.h"

namespace attend::internal {

// The most rows of a query tile. In prefill each row occupies one vector lane, so elements of
// keys and values are broadcast straight from memory, without packing or transposing, and maxima
// and sums over keys need no reduction within a vector. 64 rows are four AVX-512 vectors: with
// six keys they fill 24 of 32 registers with sums, which hides the latency of multiply-add twice
// over.
inline constexpr int kTileRows = 64;

// Keys between two updates of the running maximum: their scores (16 KiB) share a
// first-level cache of 32 KiB and more with the queries or the sums beside them.
inline constexpr int kKeyBlock = 64;

// Keys of a block on an edge of the readable keys, such as the causal diagonal: as many as
// an AVX-512 vector has rows, so that vectors of rows that read none of a block's keys skip
// it.
inline constexpr int kEdgeBlock = 16;

// The most query tiles that share one pass over the keys, so that values are packed once for all
// of them; packing takes about 7 % of the time of a tile by itself. The queries and sums of the
// other tiles wait in the second-level cache meanwhile: 64 KiB per tile of float32 at D = 128,
// 48 KiB of bfloat16, so that four leave most of 1 MiB free. More than four could save less than
// 2 % more. Measured at S = 2048 and 4096: 4 to 6 % in bfloat16, 4 to 8 % in float32.
inline constexpr int kMaxTilesPerTask = 4;

// Query rows of one or several heads of one sequence, which are computed together. Row i of the
// tile is query row first_row + i % query_rows of head first_head + i / query_rows. The heads
// either share one head of keys and values, or are all the heads of several. Their gates are not
// 0.
struct QueryTile {
  const AttentionProblem* problem = nullptr;
  const SequenceProblem* sequence = nullptr;
  int64_t first_head = 0;
  int64_t first_row = 0;
  int query_rows = 0;  // per head
  int heads = 1;       // query_rows * heads <= kTileRows
  // The keys of the sequence that the tile may read.
  int64_t begin_key = 0;
  int64_t end_key = std::numeric_limits<int64_t>::max();

  int size() const { return query_rows * heads; }  // rows of the tile
  // A single head, the common case, is spared a division per row.
  int64_t head(int row) const { return heads == 1 ? first_head : first_head + row / query_rows; }
  int64_t query_row(int row) const { return first_row + (heads == 1 ? row : row % query_rows); }
  // The position among the keys of a query row, counted from the tile's first.
  int64_t position(int row) const { return sequence->query_offset + first_row + row; }
  // The address of a term's element for a row of the tile.
  const std::byte* Address(const ScoreTerm& term, int row, int64_t key) const {
    return term.data + term.Index(head(row), query_row(row), key) *
                           static_cast<int64_t>(ElementSize(term.type));
  }
  // Whether all rows of the tile share one row of the term, or there is none.
  bool SharesRow(const ScoreTerm& term) const {
    return term.data == nullptr ||
           ((query_rows == 1 || term.row_stride == 0) && (heads == 1 || term.head_stride == 0));
  }
  // Heads of keys and values that the tile reads.
  int kv_heads() const {
    const int64_t group = problem->group_size();
    return static_cast<int>((heads + group - 1) / group);
  }
};

// Keys [begin, begin + count) of a tile's sequence; count <= kKeyBlock.
struct KeyRange {
  int64_t begin = 0;
  int count = 0;
};

// Whether attention weights are written, and whether they overwrite those in memory or are added
// to them. `add` and `scale` apply to probabilities.
struct WeightsStep {
  bool write = false;
  bool add = false;
  float scale = 1.0f;
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_QUERY_TILE_H_
