// SPDX-License-Identifier: Apache-2.0

// The blocks of keys that a tile iterates over.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_KEY_BLOCKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_KEY_BLOCKS_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_KEY_BLOCKS_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_KEY_BLOCKS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "core/attention/kernels/tile_state.h"
#include "core/attention/readable_keys.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Keys that are computed together for rows [begin_row, end_row) of the tile. The other rows read
// none of them.
struct KeyBlock {
  KeyRange keys;
  int begin_row = 0;
  int end_row = 0;
  bool masked = false;  // not every row reads every key: TileMemory::bits says which do
};

// The keys of the block that begins at `key`, up to the next absolute multiple of `size`.
inline KeyRange MakeKeyRange(int64_t key, int64_t end, int size) {
  return {key, static_cast<int>(std::min(size - key % size, end - key))};
}

// Calls body(block) for the keys [begin, end), which some rows may not read, in order. Blocks
// are cut at absolute multiples of kEdgeBlock.
template <typename Body>
void ForEdgeBlocks(const TileState& state, int64_t begin, int64_t end, const Body& body) {
  const QueryTile& tile = state.tile;
  for (int64_t key = begin; key < end;) {
    KeyBlock block{MakeKeyRange(key, end, kEdgeBlock), 0, tile.size(), true};
    if (tile.heads == 1 && !state.is_decode) {
      const RowRange rows = FindReadingRows(tile, block.keys);
      block.begin_row = rows.begin / VectorLanes() * VectorLanes();
      block.end_row = rows.end;
    }
    body(block);
    key += block.keys.count;
  }
}

// Calls body(block) for the keys [begin, end), which all rows read, in order. Blocks are cut
// at absolute multiples of kKeyBlock, so that none straddles a page of cached keys.
template <typename Body>
void ForFullBlocks(const TileState& state, int64_t begin, int64_t end, const Body& body) {
  for (int64_t key = begin; key < end;) {
    const KeyBlock block{MakeKeyRange(key, end, kKeyBlock), 0, state.tile.size(), state.has_terms};
    body(block);
    key += block.keys.count;
  }
}

// Calls body(block) for all readable keys in order; blocks on their edges are smaller.
template <typename Body>
void ForKeyBlocks(const TileState& state, const Body& body) {
  const ReadableKeys& readable = state.readable;
  ForEdgeBlocks(state, readable.begin, readable.full_begin, body);
  ForFullBlocks(state, readable.full_begin, readable.full_end, body);
  ForEdgeBlocks(state, readable.full_end, readable.end, body);
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
