#include "core/attention/partial.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

bool Read(const Partial& partial, int lane) {
  return ((*partial.lanes >> lane) & 1) != 0;
}

// The largest score of the lane; NaN shows in the sums.
double Shift(absl::Span<const Partial> partials, int lane) {
  double shift = kMinusInfinity;
  for (const Partial& partial : partials) {
    if (Read(partial, lane)) shift = std::fmax(shift, partial.shift[lane]);
  }
  return shift;
}

// e^(a - b), where nothing against nothing is nothing.
double Ratio(double a, double b) {
  return a == kMinusInfinity ? 0.0 : std::exp(a - b);
}

void MergeLane(const Tile& tile, int lane, absl::Span<const Partial> partials) {
  const AttentionProblem& problem = *tile.problem;
  const SequenceProblem& sequence = *tile.sequence;
  const int64_t width = problem.value_head_dim, head = tile.head(lane), row = tile.row(lane);
  const double sink = problem.sinks.empty() ? kMinusInfinity : problem.sinks[head];
  const double gate = problem.head_gates.empty() ? 1.0 : problem.head_gates[head];
  const double shift = Shift(partials, lane);
  double sum = 0.0;
  for (const Partial& partial : partials) {
    if (!Read(partial, lane)) continue;
    sum += Ratio(partial.shift[lane], shift) * partial.sum[lane];
  }
  if (sequence.log_sum_exp != nullptr) {
    sequence.log_sum_exp[head * problem.log_sum_exp_head_stride +
                         row * problem.log_sum_exp_row_stride] = LogSumExp(shift, sum, sink);
  }
  if (sink != kMinusInfinity) sum += std::exp(sink - shift);
  constexpr int64_t kPiece = 128;
  std::array<float, kPiece> output;
  const MutableRows& to = sequence.output;
  const int64_t element = static_cast<int64_t>(ElementSize(problem.output_type));
  std::byte* out = to.data + (row * to.row_stride + head * to.head_stride) * element;
  for (int64_t begin = 0; begin < width; begin += kPiece) {
    const int64_t count = std::min(kPiece, width - begin);
    std::fill_n(output.begin(), count, 0.0f);
    for (const Partial& partial : partials) {
      if (!Read(partial, lane)) continue;
      const auto factor = static_cast<float>(Ratio(partial.shift[lane], shift) * (gate / sum));
      const float* values = partial.values + lane * width + begin;
      for (int64_t d = 0; d < count; ++d) output[d] += factor * values[d];
    }
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

void MergePartials(const Tile& tile, absl::Span<const Partial> partials) {
  for (int lane = 0; lane < tile.lanes(); ++lane) MergeLane(tile, lane, partials);
}

}  // namespace attend::internal
