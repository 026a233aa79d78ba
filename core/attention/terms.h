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

// The position of a tile's row among the keys, kept within one of the range in
// which it makes a difference, so that no offset overflows.
int64_t Position(const Tile& tile, int64_t row);

// Clears bit l of bits[i] where lane l may not read key begin + i.
void ClearNonCausal(const Tile& tile, KeyRange keys, uint64_t* bits);
void ClearMasked(const Tile& tile, KeyRange keys, uint64_t* bits);

// Whether all lanes share one row of the term.
bool SameForAllLanes(const Tile& tile, const ScoreTerm& term);

// The bias of one lane as float32.
void LoadBias(const Tile& tile, int lane, KeyRange keys, float* bias);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_TERMS_H_
