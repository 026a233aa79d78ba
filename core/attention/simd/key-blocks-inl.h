// The blocks of keys that a tile goes through.
// Included by core/attention/tile.cc once for each SIMD target.

// Keys that are computed together, for lanes [begin_lane, end_lane): the others
// read none of them.
struct KeyBlock {
  KeyRange keys;
  int begin_lane = 0;
  int end_lane = 0;
  bool partial = false;  // not every lane reads every key: see TileMemory::bits
};

template <typename Body>
void ForEdgeBlocks(const TileState& state, int64_t begin, int64_t end, const Body& body) {
  const Tile& tile = state.tile;
  for (int64_t key = begin; key < end; key += kDiagonalBlock) {
    const int count = static_cast<int>(std::min<int64_t>(kDiagonalBlock, end - key));
    KeyBlock block{{key, count}, 0, tile.lanes(), true};
    if (tile.heads == 1 && !state.few_rows) {
      const RowRange rows = RowsThatReach(tile, block.keys);
      block.begin_lane = rows.begin / VectorLanes() * VectorLanes();
      block.end_lane = rows.end;
    }
    body(block);
  }
}

// Those in [begin, end) of the keys that all rows reach.
template <typename Body>
void ForFullBlocks(const TileState& state, int64_t begin, int64_t end, const Body& body) {
  for (int64_t key = begin; key < end; key += kKeyBlock) {
    const int count = static_cast<int>(std::min<int64_t>(kKeyBlock, end - key));
    body(KeyBlock{{key, count}, 0, state.tile.lanes(), state.has_terms});
  }
}

// In order of keys; blocks on the edges of what rows reach are smaller.
template <typename Body>
void ForKeyBlocks(const TileState& state, const Body& body) {
  const Reach& reach = state.reach;
  ForEdgeBlocks(state, reach.begin, reach.full_begin, body);
  ForFullBlocks(state, reach.full_begin, reach.full_end, body);
  ForEdgeBlocks(state, reach.full_end, reach.end, body);
}
