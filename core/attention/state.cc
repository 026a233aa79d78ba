// SPDX-License-Identifier: Apache-2.0
#include "core/attention/state.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/base/aligned_buffer.h"
#include "core/base/math.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

bool HasRead(const AttentionState& state, int row) {
  return ((*state.read_rows >> row) & 1) != 0;
}

// e^(a - b); 0 where both are -inf.
double Ratio(double a, double b) {
  return a == kMinusInfinity ? 0.0 : std::exp(a - b);
}

void MergeRow(int64_t width, int row, const AttentionState& to, const AttentionState& from) {
  float* sums = to.values + row * width;
  const float* others = from.values + row * width;
  if (!HasRead(from, row)) return;
  if (!HasRead(to, row)) {
    to.shift[row] = from.shift[row];
    to.sum[row] = from.sum[row];
    std::copy_n(others, width, sums);
    return;
  }
  const double shift = std::fmax(to.shift[row], from.shift[row]);  // NaN shows in the sums
  const auto own = static_cast<float>(Ratio(to.shift[row], shift));
  const auto other = static_cast<float>(Ratio(from.shift[row], shift));
  to.shift[row] = shift;
  to.sum[row] = own * to.sum[row] + other * from.sum[row];
  for (int64_t d = 0; d < width; ++d) sums[d] = own * sums[d] + other * others[d];
}

void FinishRow(const QueryTile& tile, int row, const AttentionState& state) {
  const AttentionProblem& problem = *tile.problem;
  const SequenceProblem& sequence = *tile.sequence;
  const int64_t width = problem.value_head_dim;
  const int64_t head = tile.head(row), query_row = tile.query_row(row);
  const double sink = problem.params->sink(head), gate = problem.params->gate(head);
  const bool read = HasRead(state, row);
  const double shift = read ? state.shift[row] : kMinusInfinity;
  double sum = read ? state.sum[row] : 0.0;
  if (sequence.log_sum_exp != nullptr) {
    problem.LogSumExp(sequence, head, query_row) = LogSumExp(shift, sum, sink);
  }
  if (sink != kMinusInfinity) sum += std::exp(sink - shift);
  const auto factor = static_cast<float>(gate / sum);
  constexpr int64_t kChunk = 128;
  std::array<float, kChunk> output{};
  const auto element = static_cast<int64_t>(ElementSize(problem.output_type));
  std::byte* const to = problem.OutputRow(sequence, head, query_row);
  for (int64_t begin = 0; begin < width; begin += kChunk) {
    const int64_t count = std::min(kChunk, width - begin);
    const float* const values = state.values + row * width + begin;
    for (int64_t d = 0; d < count && read; ++d) output[d] = factor * values[d];
    ConvertFromFloat(output.data(), problem.output_type, to + begin * element, count);
  }
}

}  // namespace

size_t StateBytes(int rows, int64_t value_head_dim) {
  constexpr size_t kLine = AlignedBuffer::kAlignment;
  const auto count = static_cast<size_t>(rows);
  return RoundUp(count * sizeof(double), kLine) + RoundUp(count * sizeof(float), kLine) +
         RoundUp(count * static_cast<size_t>(value_head_dim) * sizeof(float), kLine) + kLine;
}

AttentionState PlaceState(std::byte* memory, int rows, int64_t value_head_dim) {
  constexpr size_t kLine = AlignedBuffer::kAlignment;
  const auto count = static_cast<size_t>(rows);
  AttentionState state;
  state.shift = reinterpret_cast<double*>(memory);
  memory += RoundUp(count * sizeof(double), kLine);
  state.sum = reinterpret_cast<float*>(memory);
  memory += RoundUp(count * sizeof(float), kLine);
  state.values = reinterpret_cast<float*>(memory);
  memory += RoundUp(count * static_cast<size_t>(value_head_dim) * sizeof(float), kLine);
  state.read_rows = reinterpret_cast<uint64_t*>(memory);
  return state;
}

float LogSumExp(double shift, double sum, double sink) {
  const double log = sum == 0.0 ? kMinusInfinity : shift + std::log(sum);
  if (log == kMinusInfinity) return static_cast<float>(sink);
  const double larger = std::isnan(log) ? log : std::max(log, sink);
  return static_cast<float>(larger + std::log1p(std::exp(std::min(log, sink) - larger)));
}

void MergeStates(const QueryTile& tile, const AttentionState& to, const AttentionState& from) {
  for (int row = 0; row < tile.size(); ++row) {
    MergeRow(tile.problem->value_head_dim, row, to, from);
  }
  *to.read_rows |= *from.read_rows;
}

void FinishState(const QueryTile& tile, const AttentionState& state) {
  for (int row = 0; row < tile.size(); ++row) FinishRow(tile, row, state);
}

}  // namespace attend::internal
