// One tile, or several in step: online softmax over blocks of keys. Products is ManyRows or
// FewRows, the two ways to multiply; Store is how P is handed to the weighted sums.
// Included by core/attention/tile.cc once for each SIMD target, after its parts.

template <class Products, class Store>
class TileRun {
 public:
  TileRun(const Tile& tile, const TileMemory& memory)
      : state_(tile, memory, Products::kFew), products_(state_) {}
  TileRun(const TileRun&) = delete;  // a part refers to the other

  // Many rows of several tiles of a head, to their output. Whole blocks that all of them
  // read are packed once; each tile goes through its blocks in the same order as alone.
  static void Run(absl::Span<TileRun* const> runs, const WeightsStep& weights) {
    static_assert(!Products::kFew);
    const auto [begin, end] = BlocksOfAll(runs);
    for (TileRun* run : runs) run->Begin();
    for (int64_t key = begin; key < end; key += kKeyBlock) {
      KeyBlock block{{key, kKeyBlock}, 0, 0, runs[0]->state_.has_terms};
      const auto values = runs[0]->products_.PackValues(block);
      for (TileRun* run : runs) {
        block.end_lane = run->state_.tile.lanes();
        run->Attend(block, values);
      }
    }
    for (TileRun* run : runs) {
      run->End(end - begin);
      run->Write(weights);
    }
  }

  // Few rows or many, to what the tile's keys give.
  void RunPartial(const Partial& to) {
    Begin();
    End(0);
    *to.lanes = state_.readable_lanes;
    for (int lane = 0; lane < state_.tile.lanes(); ++lane) {
      to.sum[lane] = state_.memory.sum[lane];
      const bool none = state_.memory.max[lane] == kMinusInfinity;
      to.shift[lane] = none ? kMinusInfinity : ShiftOf(state_, lane);
    }
    if (!state_.first) products_.StoreSums(to.values);
  }

 private:
  // The range of keys that is whole blocks of each tile, or an empty one at the first's.
  static std::pair<int64_t, int64_t> BlocksOfAll(absl::Span<TileRun* const> runs) {
    const int64_t begin = runs[0]->state_.reach.full_begin;
    int64_t end = runs[0]->state_.reach.full_end;
    for (const TileRun* run : runs) {
      const Reach& reach = run->state_.reach;
      end = reach.full_begin == begin ? std::min(end, reach.full_end) : begin;
    }
    return {begin, begin + std::max<int64_t>(end - begin, 0) / kKeyBlock * kKeyBlock};
  }

  // Up to the keys that all rows reach.
  void Begin() {
    products_.PackQueries();
    if (state_.sequence.alibi_slopes != nullptr) PackAlibi(state_);
    std::fill_n(state_.memory.max, kTileLanes, kMinusInfinity);
    std::fill_n(state_.memory.sum, kTileLanes, 0.0f);
    ForEdgeBlocks(state_, state_.reach.begin, state_.reach.full_begin, AttendBlock());
  }

  // The rest, but for `done` keys that all rows reach.
  void End(int64_t done) {
    const Reach& reach = state_.reach;
    ForFullBlocks(state_, reach.full_begin + done, reach.full_end, AttendBlock());
    ForEdgeBlocks(state_, reach.full_end, reach.end, AttendBlock());
  }

  void Write(const WeightsStep& weights) {
    if (state_.sequence.log_sum_exp != nullptr) WriteLogSumExp(state_);
    if (!state_.problem.params->sinks.empty()) AddSinks(state_);
    WriteOutput(state_);
    if (weights.write) WeightsOfTile<Products>(state_, products_).Write(weights);
  }

  auto AttendBlock() {
    return [this](const KeyBlock& block) { Attend(block, products_.PackValues(block)); };
  }

  template <class PackedValues>
  void Attend(const KeyBlock& block, const PackedValues& values) {
    const TileMemory& m = state_.memory;
    if (state_.first && (block.begin_lane > 0 || block.end_lane < state_.tile.lanes())) {
      std::fill_n(m.o, state_.problem.value_head_dim * kTileLanes, 0.0f);
      state_.first = false;
    }
    ScoreBlock(state_, products_, block);
    Softmax<Store>(m.s, block.keys.count, block.begin_lane, block.end_lane, state_.unit,
                   {m.max, m.sum, m.alpha});
    products_.AddValues(block, values);
    state_.first = false;
  }

  TileState state_;
  Products products_;
};
