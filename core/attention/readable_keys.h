// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_READABLE_KEYS_H_
#define ATTEND_CORE_ATTENTION_READABLE_KEYS_H_

#include <cstdint>

#include "core/attention/query_tile.h"

namespace attend::internal {

// The keys that causal and windows let a tile's rows read. Every key of [begin, end) is readable
// by some row, every key of [full_begin, full_end) by all rows; keys outside [begin, end) are
// readable by none. Both ranges may be empty (begin >= end).
struct ReadableKeys {
  int64_t begin = 0, end = 0;
  int64_t full_begin = 0, full_end = 0;
};
ReadableKeys FindReadableKeys(const QueryTile& tile);

// Query rows [begin, end) of the tile, at least one. Rows outside the range read none of the
// keys.
struct RowRange {
  int begin = 0, end = 0;
};
RowRange FindReadingRows(const QueryTile& tile, KeyRange keys);

// Clears bit r of bits[i] where causal or windows keep row r of the tile from reading key
// begin + i.
void ClearUnreadable(const QueryTile& tile, KeyRange keys, uint64_t* bits);

// Clears bit r of bits[i] where the mask keeps row r of the tile from reading key begin + i.
// Precondition: the sequence has a mask.
void ClearMasked(const QueryTile& tile, KeyRange keys, uint64_t* bits);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_READABLE_KEYS_H_
