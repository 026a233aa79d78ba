// The products of a tile of few rows, by the kernel of short-inl.h: queries and sums are
// rows as in memory, and one tile may have several heads of keys and values.
// Included by core/attention/tile.cc once for each SIMD target.

template <class ProductOfFew>
class FewRows {
 public:
  using Product = ProductOfFew;
  static constexpr bool kFew = true;

  explicit FewRows(const TileState& state) : state_(state), p_(state.problem), m_(state.memory) {
    lanes_.heads = KvHeads(state.tile);
    lanes_.lanes = state.tile.lanes() / lanes_.heads;
    query_stride_ = TileMemory::ShortStride(p_.head_dim / Product::kElementsPerWord);
    sum_stride_ = TileMemory::ShortStride(p_.value_head_dim);
  }

  // Rows as they are in memory, with zeros behind them.
  void PackQueries() const {
    const int lanes = state_.tile.lanes();
    std::fill_n(m_.q, lanes * query_stride_, 0.0f);
    for (int lane = 0; lane < lanes; ++lane) {
      LoadQuery<Product>(state_, lane, m_.q + lane * query_stride_);
    }
    ScaleQueries<Product>(state_, lanes * query_stride_);
    // The last vector of lanes has some without a query, which begin as numbers that take
    // no longer.
    for (int i = 0; i < kKeyBlock; ++i) {
      for (int lane = lanes; lane % VectorLanes() != 0; ++lane) {
        m_.s[i * kTileLanes + lane] = 0.0f;
      }
    }
  }

  // s = q k, unscaled, for all lanes.
  void MultiplyKeys(KeyRange keys, int /*begin*/, int /*end*/) const {
    if (AsInMemory<Product>(state_)) {
      HeadRows rows = RowsOf(state_, state_.sequence.key, keys, 0);
      rows.width = p_.head_dim / Product::kElementsPerWord;
      rows.next = FirstOf(state_.sequence.value, keys.begin);
      return ShortScores<Product>(m_.q, query_stride_, lanes_, rows, m_.s);
    }
    for (int head = 0; head < lanes_.heads; ++head) {
      const WordRows wide = KeysOf<Product>(state_, keys, head);
      const int lane = head * lanes_.lanes;
      ShortScores<Product>(m_.q + lane * query_stride_, query_stride_, {1, lanes_.lanes},
                           {wide.data, wide.stride, 0, wide.words, keys.count}, m_.s + lane);
    }
  }

  // Nothing is packed in advance.
  struct PackedValues {};
  PackedValues PackValues(const KeyBlock& /*block*/) const { return {}; }

  // o = alpha o + P v, for all lanes.
  void AddValues(const KeyBlock& block, PackedValues /*values*/) const {
    bool in_memory = AsInMemory<Product>(state_);
    for (int head = 0; block.partial && in_memory && head < lanes_.heads; ++head) {
      in_memory = !HasNonFinite(state_, ValueRowsOf(block, head));
    }
    if (in_memory) {
      HeadRows rows = ValueRowsOf(block, 0);
      rows.next = FirstOf(state_.sequence.key, block.keys.begin + block.keys.count);
      return ShortValues<Product>(m_.s, lanes_, rows, m_.alpha, state_.first, m_.o, sum_stride_);
    }
    for (int head = 0; head < lanes_.heads; ++head) AddCopiedValues(block, head);
  }

  // to[lane][Dv] = o.
  void StoreSums(float* to) const {
    const int64_t width = p_.value_head_dim;
    for (int lane = 0; lane < state_.tile.lanes(); ++lane) {
      StoreShortSums<Product>(m_.o + lane * sum_stride_, width, to + lane * width);
    }
  }

 private:
  // The tile's first head from a key on.
  RowsAt FirstOf(const Rows& rows, int64_t key) const {
    const HeadRows first = RowsOf(state_, rows, {key, 0}, 0);
    return {first.data, first.row_stride};
  }

  HeadRows ValueRowsOf(const KeyBlock& block, int head) const {
    HeadRows rows = RowsOf(state_, state_.sequence.value, block.keys, head);
    rows.width = p_.value_head_dim;
    return rows;
  }

  // Of one head, from a copy that is converted or has only what is finite.
  void AddCopiedValues(const KeyBlock& block, int head) const {
    const HeadRows rows = ValueRowsOf(block, head);
    const bool dirty = block.partial && HasNonFinite(state_, rows);
    if constexpr (Product::kElementsPerWord == 2) {
      CopyFinite(state_, rows);
    } else {
      Widen(state_, rows, rows.width, m_.wide);
      if (dirty) ClearNonFinite(state_, rows.rows, m_.wide);
    }
    const HeadRows copy{reinterpret_cast<const std::byte*>(m_.wide), m_.row_floats * 4, 0,
                        rows.width, rows.rows};
    const int lane = head * lanes_.lanes;
    ShortValues<Product>(m_.s + lane, {1, lanes_.lanes}, copy, m_.alpha + lane, state_.first,
                         m_.o + lane * sum_stride_, sum_stride_);
    if (!dirty) return;
    AddNonFinite<Product>(state_, rows, lane, lane + lanes_.lanes, [&](int l, int64_t d) {
      return l * sum_stride_ + ShortValueLoads<Product>::Position(d);
    });
  }

  const TileState& state_;
  const AttentionProblem& p_;
  const TileMemory& m_;
  ShortLanes lanes_;
  int64_t query_stride_, sum_stride_;  // floats between lanes
};
