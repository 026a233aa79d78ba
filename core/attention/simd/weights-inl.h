// Attention weights where they are asked for, of any stage from scores to probabilities.
// Scores are computed once more, now that maxima and sums of whole rows are known: cheaper
// than keeping Lq x Lk of them.
// Included by core/attention/tile.cc once for each SIMD target.

template <class Products>
class WeightsOfTile {
 public:
  // After the tile's output: memory has maxima and sums of its rows.
  WeightsOfTile(TileState& state, const Products& products)
      : state_(state), products_(products), p_(state.problem), m_(state.memory) {}

  void Write(const WeightsStep& step) {
    switch (p_.params->weights_stage) {
      case WeightsStage::kProbabilities:
        return WriteProbabilities(step);
      case WeightsStage::kBiased:
        return WriteBiased();
      default:
        return WriteUnbiased();
    }
  }

 private:
  // Calls body(block) with the scores of all lanes in s.
  template <typename Body>
  void ForScores(const Body& body) {
    ForKeyBlocks(state_, [&](KeyBlock block) {
      block.begin_lane = 0;
      block.end_lane = state_.tile.lanes();
      ScoreBlock(state_, products_, block);
      body(block);
    });
  }

  void WriteProbabilities(const WeightsStep& step) {
    const int lanes = state_.tile.lanes();
    for (int lane = 0; lane < lanes; ++lane) {
      m_.factor[lane] = state_.Readable(lane) ? step.scale / m_.sum[lane] : 0.0f;
    }
    ForScores([&](const KeyBlock& block) {
      Probabilities(m_.s, block.keys.count, lanes, state_.unit, m_.max, m_.factor);
      if (block.partial) {
        for (int i = 0; i < block.keys.count; ++i) SelectReadable(m_, i, block, 0.0f);
      }
      Store(block.keys, step);
    });
    if (!step.add) FillOutOfReach(0.0f);
  }

  void WriteBiased() {
    ForScores([&](const KeyBlock& block) {
      if (!state_.scaled) ScaleScores(m_.s, block.keys.count, 0, block.end_lane, state_.scale);
      Store(block.keys, {});
    });
    FillOutOfReach(kMinusInfinity);
  }

  // Of all keys, whoever may read them.
  void WriteUnbiased() {
    const bool cap =
        p_.params->weights_stage == WeightsStage::kSoftcapped && p_.params->softcap != 0.0f;
    const int64_t length = state_.sequence.key_length;
    const int lanes = state_.tile.lanes();
    for (int64_t key = 0; key < length; key += kKeyBlock) {
      const KeyRange keys{key, static_cast<int>(std::min<int64_t>(kKeyBlock, length - key))};
      products_.MultiplyKeys(keys, 0, lanes);
      if (cap) {
        CapScores(m_.s, keys.count, 0, lanes, state_.scale, p_.params->softcap);
      } else {
        ScaleScores(m_.s, keys.count, 0, lanes, state_.scale);
      }
      Store(keys, {});
    }
  }

  void FillOutOfReach(float value) const {
    for (int lane = 0; lane < state_.tile.lanes(); ++lane) {
      float* row = Row(lane);
      std::fill(row, row + std::min(state_.reach.begin, state_.reach.end), value);
      std::fill(row + state_.reach.end, row + state_.sequence.key_length, value);
    }
  }

  void Store(KeyRange keys, const WeightsStep& step) const {
    const int lanes = state_.tile.lanes();
    float* rows[kTileLanes];
    for (int lane = 0; lane < kTileLanes; ++lane) {
      rows[lane] = lane >= lanes ? m_.dump
                   : step.add    ? m_.rows + lane * m_.row_floats
                                 : Row(lane) + keys.begin;
    }
    ScatterColumns(m_.s, keys.count, lanes, rows);
    if (!step.add) return;
    for (int lane = 0; lane < lanes; ++lane) {
      float* to = Row(lane) + keys.begin;
      for (int i = 0; i < keys.count; ++i) to[i] += rows[lane][i];
    }
  }

  float* Row(int lane) const {
    return p_.WeightsRow(state_.sequence, state_.tile.head(lane), state_.tile.row(lane));
  }

  TileState& state_;
  const Products& products_;
  const AttentionProblem& p_;
  const TileMemory& m_;
};
