#ifndef ATTEND_CORE_ATTENTION_TERMS_H_
#define ATTEND_CORE_ATTENTION_TERMS_H_

#include <cstdint>

#include "core/attention/tile.h"

namespace attend::internal {

// Keys [begin, begin + count) of a tile's sequence; count <= kKeyBlock.
struct KeyRange {
  int64_t begin = 0;
  int count = 0;
};

// Which keys causal and windows let a tile's rows read: none outside [begin, end),
// which is empty or each of whose keys some row may read; all rows may read
// [full_begin, full_end), which may be empty (begin >= end).
struct Reach {
  int64_t begin = 0, end = 0;
  int64_t full_begin = 0, full_end = 0;
};
Reach ReachOf(const Tile& tile);

// Rows [begin, end) of the tile: outside it none reaches any of the keys. At least one.
struct RowRange {
  int begin = 0, end = 0;
};
RowRange RowsThatReach(const Tile& tile, KeyRange keys);

// Clears bit l of bits[i] where lane l may not read key begin + i.
void ClearOutOfReach(const Tile& tile, KeyRange keys, uint64_t* bits);
void ClearMasked(const Tile& tile, KeyRange keys, uint64_t* bits);

// Whether all lanes share one row of the term, or there is none.
bool SameForAllLanes(const Tile& tile, const ScoreTerm& term);

bool SameBiasForAllLanes(const Tile& tile);

// The bias of one lane as float32: the sum of both, where there are two.
void LoadBias(const Tile& tile, int lane, KeyRange keys, float* bias);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_TERMS_H_
