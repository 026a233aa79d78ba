// One tile: online softmax over blocks of keys. Products is ManyRows or FewRows, the two
// ways to multiply; Store is how P is handed to the weighted sums.
// Included by core/attention/tile.cc once for each SIMD target, after its parts.

template <class Products, class Store>
class TileRun {
 public:
  TileRun(const Tile& tile, const TileMemory& memory)
      : state_(tile, memory, Products::kFew), products_(state_) {}
  TileRun(const TileRun&) = delete;  // a part refers to the other

  // Many rows, to their output.
  void Run(const WeightsStep& weights) {
    static_assert(!Products::kFew);
    AttendAll();
    if (state_.sequence.log_sum_exp != nullptr) WriteLogSumExp(state_);
    if (!state_.problem.sinks.empty()) AddSinks(state_);
    WriteOutput(state_);
    if (weights.write) WeightsOfTile<Products>(state_, products_).Write(weights);
  }

  // Few rows or many, to what the tile's keys give.
  void RunPartial(const Partial& to) {
    AttendAll();
    *to.lanes = state_.readable_lanes;
    for (int lane = 0; lane < state_.tile.lanes(); ++lane) {
      to.sum[lane] = state_.memory.sum[lane];
      const bool none = state_.memory.max[lane] == kMinusInfinity;
      to.shift[lane] = none ? kMinusInfinity : ShiftOf(state_, lane);
    }
    if (!state_.first) products_.StoreSums(to.values);
  }

 private:
  void AttendAll() {
    products_.PackQueries();
    if (state_.sequence.alibi_slopes != nullptr) PackAlibi(state_);
    std::fill_n(state_.memory.max, kTileLanes, kMinusInfinity);
    std::fill_n(state_.memory.sum, kTileLanes, 0.0f);
    ForKeyBlocks(state_, [&](const KeyBlock& block) { Attend(block); });
  }

  void Attend(const KeyBlock& block) {
    const TileMemory& m = state_.memory;
    if (state_.first && (block.begin_lane > 0 || block.end_lane < state_.tile.lanes())) {
      std::fill_n(m.o, state_.problem.value_head_dim * kTileLanes, 0.0f);
      state_.first = false;
    }
    ScoreBlock(state_, products_, block);
    Softmax<Store>(m.s, block.keys.count, block.begin_lane, block.end_lane, state_.unit,
                   {m.max, m.sum, m.alpha});
    products_.AddValues(block);
    state_.first = false;
  }

  TileState state_;
  Products products_;
};
