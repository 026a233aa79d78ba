#include "core/attention/attention.h"

#include <algorithm>

#include "core/attention/reference.h"

namespace attend {
namespace {

// Keys that causal lets the rows of a sequence read, summed over its rows.
double ReadablePairs(const AttentionProblem& problem, const SequenceProblem& sequence) {
  const double rows = static_cast<double>(sequence.query_length);
  const double keys = static_cast<double>(sequence.key_length);
  if (!problem.causal) return rows * keys;
  // Row i reads clamp(offset + i + 1, 0, keys) keys.
  const double offset = static_cast<double>(sequence.query_offset);
  const double first = std::clamp(-offset, 0.0, rows);         // rows before it read none
  const double full = std::clamp(keys - offset, first, rows);  // rows from it read all
  const double rising = full - first;                          // rows between
  return rising * (offset + first + 1.0) + rising * (rising - 1.0) / 2.0 + (rows - full) * keys;
}

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
  pool.ParallelFor(static_cast<int64_t>(problems.size()),
                   [&](int64_t i, int) { ReferenceAttention(*problems[i]); });
}

}  // namespace attend
