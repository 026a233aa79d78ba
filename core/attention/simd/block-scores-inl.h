// A block of scores between the product that gives it and its softmax: softcap, bias,
// ALiBi, and -inf where a row may not read a key.
// Included by core/attention/tile.cc once for each SIMD target.

// Slopes and positions of the lanes, once a tile.
inline void PackAlibi(const TileState& state) {
  const TileMemory& m = state.memory;
  for (int lane = 0; lane < kTileLanes; ++lane) {
    const int from = lane < state.tile.lanes() ? lane : 0;
    m.slope[lane] = state.sequence.alibi_slopes[state.tile.head(from)];
    m.row[lane] = static_cast<float>(from % state.tile.rows);
  }
}

// s of lanes that may not read the key.
inline void SelectReadable(const TileMemory& m, int key, const KeyBlock& block, float otherwise) {
  const F32 df;
  float* s = m.s + key * kTileLanes;
  for (int lane = block.begin_lane; lane < block.end_lane; lane += VectorLanes()) {
    const uint64_t bits = m.bits[key] >> lane;
    const auto readable = hn::LoadMaskBits(df, reinterpret_cast<const uint8_t*>(&bits));
    hn::Store(hn::IfThenElse(readable, hn::Load(df, s + lane), hn::Set(df, otherwise)), df,
              s + lane);
  }
}

// memory.bias[key][lane] of a block, by way of rows.
inline void LoadBiasColumns(const TileState& state, KeyRange keys) {
  const TileMemory& m = state.memory;
  const int lanes = state.tile.lanes();
  const bool same = SameBiasForAllLanes(state.tile);
  const float* rows[kTileLanes];
  for (int lane = 0; lane < (same ? 1 : lanes); ++lane) {
    LoadBias(state.tile, lane, keys, m.rows + lane * m.row_floats);
  }
  for (int lane = 0; lane < kTileLanes; ++lane) {
    rows[lane] = m.rows + (same || lane >= lanes ? 0 : lane) * m.row_floats;
  }
  GatherColumns(rows, keys.count, lanes, m.bias);
}

// s = s * factor + bias; what bias makes unreadable leaves the bits.
inline void AddBias(const TileState& state, const KeyBlock& block, float factor) {
  const TileMemory& m = state.memory;
  LoadBiasColumns(state, block.keys);
  const F32 df;
  const V32 scale = hn::Set(df, factor), none = hn::Set(df, kMinusInfinity);
  for (int i = 0; i < block.keys.count; ++i) {
    for (int lane = block.begin_lane; lane < block.end_lane; lane += VectorLanes()) {
      const V32 bias = hn::Load(df, m.bias + i * kTileLanes + lane);
      float* s = m.s + i * kTileLanes + lane;
      hn::Store(hn::MulAdd(hn::Load(df, s), scale, bias), df, s);
      uint64_t unreadable = 0;
      hn::StoreMaskBits(df, hn::Eq(bias, none), reinterpret_cast<uint8_t*>(&unreadable));
      m.bits[i] &= ~(unreadable << lane);
    }
  }
}

// s = what exponents are taken of, in units of state.unit; -inf where not readable.
template <class Products>
void ScoreBlock(TileState& state, const Products& products, const KeyBlock& block) {
  const TileMemory& m = state.memory;
  const int count = block.keys.count;
  products.MultiplyKeys(block.keys, block.begin_lane, block.end_lane);
  float scale = state.scale;  // not applied yet
  if (state.problem.params->softcap != 0.0f) {
    CapScores(m.s, count, block.begin_lane, block.end_lane, scale, state.problem.params->softcap);
    scale = 1.0f;
  }
  if (block.partial) {
    std::fill_n(m.bits, count, ~uint64_t{0});
    if (state.limited) ClearOutOfReach(state.tile, block.keys, m.bits);
    if (state.sequence.mask.data != nullptr) ClearMasked(state.tile, block.keys, m.bits);
    if (state.sequence.has_bias()) {
      AddBias(state, block, scale);
      scale = 1.0f;
    }
  }
  if (state.sequence.alibi_slopes != nullptr) {
    AddAlibi(m.s, count, block.begin_lane, block.end_lane, scale, {m.slope, m.row},
             state.tile.position(0) - block.keys.begin);
  }
  if (!block.partial) {
    state.readable_lanes = ~uint64_t{0};
    return;
  }
  for (int i = 0; i < count; ++i) {
    state.readable_lanes |= m.bits[i];
    SelectReadable(m, i, block, kMinusInfinity);
  }
}
