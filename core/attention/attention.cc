#include "core/attention/attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/attention/tile.h"

namespace attend {
namespace {

using internal::kTileLanes;
using internal::Tile;

// Sum over rows i of clamp(first + i, 0, keys).
double SumOfClamped(double first, double rows, double keys) {
  const double zero = std::clamp(-first, 0.0, rows);         // rows before it add 0
  const double full = std::clamp(keys - first, zero, rows);  // rows from it add all
  const double rising = full - zero;                         // rows between
  return rising * (first + zero) + rising * (rising - 1.0) / 2.0 + (rows - full) * keys;
}

// Keys that causal and window let the rows of a sequence read, summed over its rows.
double ReadablePairs(const AttentionProblem& problem, const SequenceProblem& sequence) {
  const auto rows = static_cast<double>(sequence.query_length);
  const auto keys = static_cast<double>(sequence.key_length);
  const auto offset = static_cast<double>(sequence.query_offset);
  const auto right = problem.causal ? 0.0 : static_cast<double>(problem.window_right.value_or(0));
  // Row i reads keys from clamp(offset + i - left) to clamp(offset + i + right + 1).
  double pairs = rows * keys;
  if (problem.causal || problem.window_right.has_value()) {
    pairs = SumOfClamped(offset + right + 1.0, rows, keys);
  }
  if (problem.window_left.has_value()) {
    const auto left = static_cast<double>(*problem.window_left);
    pairs -= SumOfClamped(offset - left, rows, keys);
  }
  return pairs;
}

float Gate(const AttentionProblem& problem, int64_t head) {
  return problem.head_gates.empty() ? 1.0f : problem.head_gates[head];
}

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// A head with gate 0, or a mean over no heads.
void ClearWeights(const AttentionProblem& problem, const Tile& tile) {
  const float value = problem.weights_stage == WeightsStage::kProbabilities ? 0.0f : kMinusInfinity;
  for (int row = 0; row < tile.rows; ++row) {
    float* to = tile.sequence->weights + tile.first_head * problem.weights_head_stride +
                (tile.first_row + row) * problem.weights_row_stride;
    std::fill(to, to + tile.sequence->key_length, value);
  }
}

// Output and log-sum-exp of a head with gate 0.
void ClearHead(const AttentionProblem& problem, const Tile& tile) {
  const int64_t element = static_cast<int64_t>(ElementSize(problem.output_type));
  const MutableRows& output = tile.sequence->output;
  for (int row = 0; row < tile.rows; ++row) {
    std::byte* to = output.data + ((tile.first_row + row) * output.row_stride +
                                   tile.first_head * output.head_stride) *
                                      element;
    std::fill_n(to, problem.value_head_dim * element, std::byte{0});
    if (tile.sequence->log_sum_exp == nullptr) continue;
    tile.sequence->log_sum_exp[tile.first_head * problem.log_sum_exp_head_stride +
                               (tile.first_row + row) * problem.log_sum_exp_row_stride] =
        kMinusInfinity;
  }
}

// A head, or several that share keys and values, none or all with gate 0.
void RunHeads(const Tile& tile) {
  const AttentionProblem& problem = *tile.problem;
  const bool write = problem.weights == WeightsOutput::kPerHead;
  if (Gate(problem, tile.first_head) != 0.0f) return RunTile(tile, {write, false, 1.0f});
  ClearHead(problem, tile);
  if (write) ClearWeights(problem, tile);
}

// All heads of some rows, one after another, so that their mean is summed in one
// order whatever the number of workers.
void RunMean(Tile tile) {
  const AttentionProblem& problem = *tile.problem;
  const int64_t gated = std::count(problem.head_gates.begin(), problem.head_gates.end(), 0.0f);
  const float share = 1.0f / static_cast<float>(problem.num_heads - gated);
  bool add = false;
  for (int64_t head = 0; head < problem.num_heads; ++head) {
    tile.first_head = head;
    if (Gate(problem, head) == 0.0f) {
      ClearHead(problem, tile);
    } else {
      RunTile(tile, {true, add, share});
      add = true;
    }
  }
  tile.first_head = 0;
  if (!add) ClearWeights(problem, tile);
}

// How a sequence is cut: from the problem alone, so that its bits depend on
// nothing else.
class Tiling {
 public:
  Tiling(const AttentionProblem& problem, const SequenceProblem& sequence)
      : problem_(problem), sequence_(sequence) {
    mean_ = problem.weights == WeightsOutput::kMean;
    row_tiles_ = (sequence.query_length + kTileLanes - 1) / kTileLanes;
    const int64_t group = problem.num_heads / problem.num_kv_heads;
    // Heads with one key/value head and few rows share a tile: what they read is
    // then read once. Gates of 0 need tiles of their own.
    const bool gated = std::count(problem.head_gates.begin(), problem.head_gates.end(), 0.0f) > 0;
    if (sequence.query_length > 0 && !mean_ && !gated) {
      heads_ = std::clamp<int64_t>(kTileLanes / sequence.query_length, 1, group);
    }
    group_tiles_ = (group + heads_ - 1) / heads_;
  }

  int64_t size() const {
    return mean_ ? row_tiles_ : row_tiles_ * problem_.num_kv_heads * group_tiles_;
  }

  // Head by head, so that neighbours share keys and values in the cache; the
  // longest rows first where causal makes them differ, for an even end.
  void Run(int64_t index) const {
    Tile tile;
    tile.problem = &problem_;
    tile.sequence = &sequence_;
    const int64_t row_tile = row_tiles_ - 1 - index % row_tiles_;
    tile.first_row = row_tile * kTileLanes;
    tile.rows =
        static_cast<int>(std::min<int64_t>(kTileLanes, sequence_.query_length - tile.first_row));
    if (mean_) return RunMean(tile);
    const int64_t group = problem_.num_heads / problem_.num_kv_heads;
    const int64_t head_tile = index / row_tiles_;
    const int64_t in_group = head_tile % group_tiles_ * heads_;
    tile.first_head = head_tile / group_tiles_ * group + in_group;
    tile.heads = static_cast<int>(std::min(heads_, group - in_group));
    RunHeads(tile);
  }

 private:
  const AttentionProblem& problem_;
  const SequenceProblem& sequence_;
  bool mean_ = false;
  int64_t row_tiles_ = 0;
  int64_t heads_ = 1;        // in a tile
  int64_t group_tiles_ = 0;  // that the heads of a group need
};

// The tiles of one sequence among those of a call.
struct Part {
  Tiling tiling;
  int64_t end;  // number of the first tile after it
};

}  // namespace

double AttentionFlops(const AttentionProblem& problem) {
  double pairs = 0.0;
  for (const SequenceProblem& sequence : problem.sequences) {
    pairs += ReadablePairs(problem, sequence);
  }
  const int64_t gated = std::count(problem.head_gates.begin(), problem.head_gates.end(), 0.0f);
  const double heads = static_cast<double>(problem.num_heads - gated);
  return 2.0 * heads * pairs * static_cast<double>(problem.head_dim + problem.value_head_dim);
}

void ComputeAttention(absl::Span<const AttentionProblem* const> problems, WorkerPool& pool) {
  thread_local std::vector<Part> parts;  // keeps its memory for the next call
  parts.clear();
  int64_t end = 0;
  for (const AttentionProblem* problem : problems) {
    for (const SequenceProblem& sequence : problem->sequences) {
      const Tiling tiling(*problem, sequence);
      end += tiling.size();
      parts.push_back({tiling, end});
    }
  }
  const std::vector<Part>& shared = parts;  // the workers' `parts` would be their own
  pool.ParallelFor(end, [&shared](int64_t i, int) {
    const auto part = std::upper_bound(shared.begin(), shared.end(), i,
                                       [](int64_t index, const Part& p) { return index < p.end; });
    const int64_t begin = part == shared.begin() ? 0 : std::prev(part)->end;
    part->tiling.Run(i - begin);
  });
}

}  // namespace attend
