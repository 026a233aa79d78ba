#include "core/attention/partial.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

bool Read(const Partial& partial, int lane) {
  return ((*partial.lanes >> lane) & 1) != 0;
}

// e^(a - b), where nothing against nothing is nothing.
double Ratio(double a, double b) {
  return a == kMinusInfinity ? 0.0 : std::exp(a - b);
}

void MergeLane(int64_t width, int lane, const Partial& to, const Partial& from) {
  float* sums = to.values + lane * width;
  const float* others = from.values + lane * width;
  if (!Read(from, lane)) return;
  if (!Read(to, lane)) {
    to.shift[lane] = from.shift[lane];
    to.sum[lane] = from.sum[lane];
    std::copy_n(others, width, sums);
    return;
  }
  const double shift = std::fmax(to.shift[lane], from.shift[lane]);  // NaN shows in the sums
  const auto own = static_cast<float>(Ratio(to.shift[lane], shift));
  const auto other = static_cast<float>(Ratio(from.shift[lane], shift));
  to.shift[lane] = shift;
  to.sum[lane] = own * to.sum[lane] + other * from.sum[lane];
  for (int64_t d = 0; d < width; ++d) sums[d] = own * sums[d] + other * others[d];
}

void WriteLane(const Tile& tile, int lane, const Partial& partial) {
  const AttentionProblem& problem = *tile.problem;
  const SequenceProblem& sequence = *tile.sequence;
  const int64_t width = problem.value_head_dim, head = tile.head(lane), row = tile.row(lane);
  const double sink = problem.params->sink(head), gate = problem.params->gate(head);
  const bool read = Read(partial, lane);
  const double shift = read ? partial.shift[lane] : kMinusInfinity;
  double sum = read ? partial.sum[lane] : 0.0;
  if (sequence.log_sum_exp != nullptr) {
    problem.LogSumExp(sequence, head, row) = LogSumExp(shift, sum, sink);
  }
  if (sink != kMinusInfinity) sum += std::exp(sink - shift);
  const auto factor = static_cast<float>(gate / sum);
  constexpr int64_t kPiece = 128;
  std::array<float, kPiece> output{};
  const int64_t element = static_cast<int64_t>(ElementSize(problem.output_type));
  std::byte* const out = problem.OutputRow(sequence, head, row);
  for (int64_t begin = 0; begin < width; begin += kPiece) {
    const int64_t count = std::min(kPiece, width - begin);
    const float* values = partial.values + lane * width + begin;
    for (int64_t d = 0; d < count && read; ++d) output[d] = factor * values[d];
    ConvertFromFloat(output.data(), problem.output_type, out + begin * element, count);
  }
}

}  // namespace

void Partial::Carve(Carver& carver, int lanes_of_tile, int64_t value_head_dim) {
  shift = carver.Take<double>(lanes_of_tile);
  sum = carver.Take<float>(lanes_of_tile);
  values = carver.Take<float>(lanes_of_tile * value_head_dim);
  lanes = carver.Take<uint64_t>(1);
}

float LogSumExp(double shift, double sum, double sink) {
  const double log = sum == 0.0 ? kMinusInfinity : shift + std::log(sum);
  if (log == kMinusInfinity) return static_cast<float>(sink);
  const double larger = std::isnan(log) ? log : std::max(log, sink);
  return static_cast<float>(larger + std::log1p(std::exp(std::min(log, sink) - larger)));
}

void Merge(const Tile& tile, const Partial& to, const Partial& from) {
  for (int lane = 0; lane < tile.lanes(); ++lane) {
    MergeLane(tile.problem->value_head_dim, lane, to, from);
  }
  *to.lanes |= *from.lanes;
}

void WritePartial(const Tile& tile, const Partial& partial) {
  for (int lane = 0; lane < tile.lanes(); ++lane) WriteLane(tile, lane, partial);
}

}  // namespace attend::internal
