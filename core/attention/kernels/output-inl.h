// SPDX-License-Identifier: Apache-2.0

// The results that a prefill tile writes after its last key: log-sum-exp and output.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_OUTPUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_OUTPUT_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_OUTPUT_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_OUTPUT_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/attention/kernels/softmax-inl.h"
#include "core/attention/kernels/tile_state.h"
#include "core/attention/state.h"
#include "core/simd/transpose-inl.h"
#include "core/simd/vectors-inl.h"
#include "core/tensor/convert.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The score subtracted in exponents: sums are of e^(score - shift). Computed from the product as
// FindBase rounded it, so that nothing is lost.
inline double FindShift(const TileState& state, int row) {
  const float found = state.memory.max[row];
  const float max = found == kMinusInfinity ? 0.0f : found;
  const double scale = state.scaled ? 1.0f : state.scale;
  const float offset = max * state.unit;
  return std::fabs(offset) > kFarOffset ? max * scale : offset * (scale / state.unit);
}

// Must run before AddSinks: a sink far above the scores leaves no trace of them in the sums.
inline void WriteLogSumExp(const TileState& state) {
  const AttentionProblem& p = state.problem;
  for (int row = 0; row < state.tile.size(); ++row) {
    p.LogSumExp(state.sequence, state.tile.head(row), state.tile.query_row(row)) =
        LogSumExp(FindShift(state, row), state.HasRead(row) ? state.memory.sum[row] : 0.0,
                  state.problem.params->sink(state.tile.head(row)));
  }
}

// Adds the sinks once, at the end: a sink contributes to the denominator only.
inline void AddSinks(const TileState& state) {
  for (int row = 0; row < state.tile.size(); ++row) {
    state.memory.sum[row] += static_cast<float>(
        std::exp(state.problem.params->sink(state.tile.head(row)) - FindShift(state, row)));
  }
}

// Multiplies the outputs of each row by its factor.
inline void ScaleOutputs(const TileState& state) {
  const TileMemory& m = state.memory;
  const F32 df;
  for (int lane = 0; lane < state.tile.size(); lane += VectorLanes()) {
    const V32 factor = hn::Load(df, m.factor + lane);
    for (int64_t d = 0; d < state.problem.value_head_dim; ++d) {
      float* const output = m.outputs + d * kTileRows + lane;
      hn::Store(hn::Mul(hn::Load(df, output), factor), df, output);
    }
  }
}

// Writes the output rows of a prefill tile: the sums of P v over the sum of P, times the
// gate of the head.
inline void WriteOutput(const TileState& state) {
  const TileMemory& m = state.memory;
  const AttentionProblem& p = state.problem;
  const int size = state.tile.size();
  for (int row = 0; row < size; ++row) {
    const float gate = p.params->gate(state.tile.head(row));
    m.factor[row] = gate / m.sum[row];
  }
  float* rows[kTileRows];
  for (int row = 0; row < kTileRows; ++row) {
    rows[row] = row < size ? m.staged + row * m.row_floats : m.discarded;
  }
  if (!state.first) {
    ScaleOutputs(state);
    ScatterColumns<kTileRows>(m.outputs, p.value_head_dim, size, rows);
  }
  for (int row = 0; row < size; ++row) {
    if (!state.HasRead(row)) std::fill_n(rows[row], p.value_head_dim, 0.0f);
    ConvertFromFloat(rows[row], p.output_type,
                     p.OutputRow(state.sequence, state.tile.head(row), state.tile.query_row(row)),
                     p.value_head_dim);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
