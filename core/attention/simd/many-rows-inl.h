// The products of a tile of many rows: queries stand in lanes, so that scores and sums are
// matrices with a column a row. By vectors or, where Product is AmxProduct, by AMX tiles.
// Included by core/attention/tile.cc once for each SIMD target.

// words = two rows of bfloat16 values, the first one low; `high` may be null, for zeros.
HWY_INLINE void PairRow(const uint16_t* low, const uint16_t* high, int64_t width, uint32_t* words) {
  const hn::RebindToUnsigned<F32> du;
  const hn::Rebind<uint16_t, F32> dh;
  int64_t d = 0;
  for (; d + VectorLanes() <= width; d += VectorLanes()) {
    auto word = hn::PromoteTo(du, hn::LoadU(dh, low + d));
    if (high != nullptr) {
      word = hn::Or(word, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(dh, high + d))));
    }
    hn::StoreU(word, du, words + d);
  }
  for (; d < width; ++d) {
    words[d] = low[d] | (high == nullptr ? 0u : uint32_t{high[d]} << 16);
  }
}

template <class ProductOfMany>
class ManyRows {
 public:
  using Product = ProductOfMany;
  static constexpr bool kFew = false;

  explicit ManyRows(const TileState& state) : state_(state), p_(state.problem), m_(state.memory) {}

  // Through contiguous rows: in memory they are often a power of two apart, and
  // then share too few sets of the cache to be visited piece by piece.
  void PackQueries() const {
    const float* rows[kTileLanes];
    const int lanes = state_.tile.lanes();
    for (int lane = 0; lane < kTileLanes; ++lane) {
      const int from = lane < lanes ? lane : 0;  // spare lanes repeat the first
      float* row = m_.rows + from * m_.row_floats;
      rows[lane] = row;
      if (lane == from) LoadQuery<Product>(state_, lane, row);
    }
    const int64_t words = p_.head_dim / Product::kElementsPerWord;
    GatherColumns(rows, words, lanes, m_.q);
    if constexpr (kOnTiles<Product>) {
      const int64_t missing = (words + 15) / 16 * 16 - words;
      std::fill_n(m_.q + words * kTileLanes, missing * kTileLanes, 0.0f);
    }
    ScaleQueries<Product>(state_, words * kTileLanes);
  }

  // s = q k, unscaled.
  void MultiplyKeys(KeyRange keys, int begin, int end) const {
    const WordRows k = KeysOf<Product>(state_, keys, 0);
    if constexpr (kOnTiles<Product>) {
      Product::Scores(m_.q, k, keys.count, begin, end, m_.amx, m_.s);
    } else {
      Scores<Product>(m_.q, k, keys.count, begin, end, m_.s);
    }
  }

  // A block's values as they are multiplied, in the memory that tiles share.
  struct PackedValues {
    WordRows words;
    int rows;    // of words
    bool dirty;  // some were not finite
  };

  PackedValues PackValues(const KeyBlock& block) const {
    const HeadRows rows = RowsOf(state_, state_.sequence.value, block.keys, 0);
    const bool dirty = block.partial && HasNonFinite(state_, rows);
    const int words = (rows.rows + Product::kElementsPerWord - 1) / Product::kElementsPerWord;
    const PackedValues packed{WordsOf(rows, dirty), words, dirty};
    if constexpr (kOnTiles<Product>) Product::PackValues(packed.words, m_.values, words, m_.amx);
    return packed;
  }

  // o = alpha o + P v.
  void AddValues(const KeyBlock& block, const PackedValues& values) const {
    const Sums to{m_.o, m_.alpha, state_.first};
    if constexpr (kOnTiles<Product>) {
      Product::Values(m_.s, values.words, values.rows, block.begin_lane, block.end_lane, m_.amx,
                      to);
    } else {
      Values<Product>(m_.s, values.words, values.rows, block.begin_lane, block.end_lane, to);
    }
    if (!values.dirty) return;
    AddNonFinite<Product>(state_, RowsOf(state_, state_.sequence.value, block.keys, 0),
                          block.begin_lane, block.end_lane,
                          [](int lane, int64_t d) { return d * kTileLanes + lane; });
  }

  // to[lane][Dv] = o.
  void StoreSums(float* to) const {
    const int64_t width = p_.value_head_dim;
    for (int lane = 0; lane < state_.tile.lanes(); ++lane) {
      for (int64_t d = 0; d < width; ++d) to[lane * width + d] = m_.o[d * kTileLanes + lane];
    }
  }

 private:
  // Values as words of as many keys as a word of P has; 0 for what is not finite, where
  // there is such in `dirty` ones.
  WordRows WordsOf(const HeadRows& rows, bool dirty) const {
    const int64_t width = p_.value_head_dim;
    if constexpr (Product::kElementsPerWord == 2) {
      const WordRows words = Pair(rows);
      if (dirty) ClearNonFinitePairs(state_, (rows.rows + 1) / 2);
      return words;
    }
    if (!dirty && p_.input_type == DataType::kFloat32 && rows.row_stride == width * 4) {
      return {rows.data, rows.row_stride, width};
    }
    // Copied even where nothing is converted: rows of many heads lie a power of
    // two apart, share a few sets of the cache and would be fetched again for
    // every few features. Measured: 5 % at full length, 10 % under causal.
    const WordRows words = Widen(state_, rows, width, m_.values);
    if (dirty) ClearNonFinite(state_, rows.rows, m_.values);
    return words;
  }

  WordRows Pair(const HeadRows& rows) const {
    const auto row = [&](int i) {
      return reinterpret_cast<const uint16_t*>(rows.data + i * rows.row_stride);
    };
    for (int i = 0; i < rows.rows; i += 2) {
      PairRow(row(i), i + 1 < rows.rows ? row(i + 1) : nullptr, p_.value_head_dim,
              reinterpret_cast<uint32_t*>(m_.values + (i / 2) * m_.row_floats));
    }
    return {reinterpret_cast<const std::byte*>(m_.values), m_.row_floats * 4, p_.value_head_dim};
  }

  const TileState& state_;
  const AttentionProblem& p_;
  const TileMemory& m_;
};
