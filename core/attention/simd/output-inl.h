// What a tile writes when it has gone through its keys: log-sum-exp and the output of its
// rows, with the sinks that join their sums.
// Included by core/attention/tile.cc once for each SIMD target.

// The score that exponents were taken against: sums are of e^(score - this). Of the
// product as it was rounded then (BaseOf), so that nothing is lost.
inline double ShiftOf(const TileState& state, int lane) {
  const float found = state.memory.max[lane];
  const float max = found == kMinusInfinity ? 0.0f : found;
  const double scale = state.scaled ? 1.0f : state.scale;
  const float offset = max * state.unit;
  return std::fabs(offset) > kFarOffset ? max * scale : offset * (scale / state.unit);
}

inline float Sink(const TileState& state, int lane) {
  return state.problem.params->sink(state.tile.head(lane));
}

// Before the sinks are in the sums: a sink far above the scores leaves no trace of
// them there.
inline void WriteLogSumExp(const TileState& state) {
  const AttentionProblem& p = state.problem;
  for (int lane = 0; lane < state.tile.lanes(); ++lane) {
    p.LogSumExp(state.sequence, state.tile.head(lane), state.tile.row(lane)) =
        LogSumExp(ShiftOf(state, lane), state.Readable(lane) ? state.memory.sum[lane] : 0.0,
                  Sink(state, lane));
  }
}

// They join the sums when these are whole: they have no value to be added.
inline void AddSinks(const TileState& state) {
  for (int lane = 0; lane < state.tile.lanes(); ++lane) {
    state.memory.sum[lane] +=
        static_cast<float>(std::exp(Sink(state, lane) - ShiftOf(state, lane)));
  }
}

// o *= factor.
inline void ScaleOutputs(const TileState& state) {
  const TileMemory& m = state.memory;
  const F32 df;
  for (int lane = 0; lane < state.tile.lanes(); lane += VectorLanes()) {
    const V32 factor = hn::Load(df, m.factor + lane);
    for (int64_t d = 0; d < state.problem.value_head_dim; ++d) {
      float* o = m.o + d * kTileLanes + lane;
      hn::Store(hn::Mul(hn::Load(df, o), factor), df, o);
    }
  }
}

// The output rows of a tile of many rows: o / sum, times the gate of the head.
inline void WriteOutput(const TileState& state) {
  const TileMemory& m = state.memory;
  const AttentionProblem& p = state.problem;
  const int lanes = state.tile.lanes();
  for (int lane = 0; lane < lanes; ++lane) {
    const float gate = p.params->gate(state.tile.head(lane));
    m.factor[lane] = gate / m.sum[lane];
  }
  float* rows[kTileLanes];
  for (int lane = 0; lane < kTileLanes; ++lane) {
    rows[lane] = lane < lanes ? m.rows + lane * m.row_floats : m.dump;
  }
  if (!state.first) {
    ScaleOutputs(state);
    ScatterColumns(m.o, p.value_head_dim, lanes, rows);
  }
  for (int lane = 0; lane < lanes; ++lane) {
    if (!state.Readable(lane)) std::fill_n(rows[lane], p.value_head_dim, 0.0f);
    ConvertFromFloat(rows[lane], p.output_type,
                     p.OutputRow(state.sequence, state.tile.head(lane), state.tile.row(lane)),
                     p.value_head_dim);
  }
}
