// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_ATTENTION_RANDOM_PROBLEM_H_
#define ATTEND_TESTS_CORE_ATTENTION_RANDOM_PROBLEM_H_

#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "core/attention/problem.h"

namespace attend {

// The element at which a row of a head begins.
inline int64_t Index(const Rows& rows, int64_t row, int64_t head) {
  return row * rows.row_stride + head * rows.head_stride;
}

// The parameters that a problem is drawn from.
struct ProblemShape {
  int64_t num_heads = 1, num_kv_heads = 1, head_dim = 1, value_head_dim = 1;
  std::vector<std::pair<int64_t, int64_t>> lengths;  // (Lq, Lk) of each sequence
  DataType type = DataType::kFloat32;
  DataType output_type = DataType::kFloat32;
  bool heads_first = false;  // [H, L, D] in memory, else [L, H, D]
  int64_t shift = 0;         // elements before the first: from a cache line, and from a vector
  int64_t gap = 0;           // elements of NaN behind each row of a head
};

// A problem that owns its memory, filled with normal numbers. Output and weights
// start as garbage that a test can recognise.
class RandomProblem {
 public:
  RandomProblem(const ProblemShape& shape, uint32_t seed);
  RandomProblem(const RandomProblem&) = delete;

  // The problem's options and sequences, for a test to set.
  AttentionParams params;
  std::vector<SequenceProblem> sequences;
  AttentionProblem problem;  // borrows from both

  // A mask [H][Lq][Lk] with any axis broadcast; each element is true with `probability`.
  void AddMask(size_t sequence, bool by_head, bool by_row, bool by_key, double probability);
  // A bias of the same shapes, each element -inf with `probability`. A second one is added to
  // the first.
  void AddBias(size_t sequence, DataType type, bool by_head, bool by_row, bool by_key,
               double probability);
  // Slopes [H] of one sequence, normal; sinks [H], normal, some of them -inf.
  void AddAlibi(size_t sequence);
  void AddSinks();
  void AskForWeights(WeightsOutput weights, WeightsStage stage = WeightsStage::kProbabilities);
  // Lays out log-sum-exp by head or by row, as on the wire if dense or packed.
  void AskForLogSumExp(bool by_head);

  // Overwrites a row of all heads of queries, keys or values.
  void SetQuery(size_t sequence, int64_t row, float value);
  void SetKey(size_t sequence, int64_t key, float value);
  void SetValue(size_t sequence, int64_t key, float value);

  // Overwrites numbers of queries, keys, values and float biases, each with `probability`, by
  // large and by denormal ones; with `not_finite` also by NaN and infinities.
  void Strew(double probability, bool not_finite);

  // Output rows in order of sequence, row, head, feature; weights as they are in memory;
  // log-sum-exp in order of sequence, row, head, empty if not requested.
  std::vector<float> Output() const;
  const std::vector<float>& Weights(size_t sequence) const { return weights_[sequence]; }
  std::vector<float> LogSumExp() const;
  void ClearResults();

  // Whether the memory between the rows of output is as ClearResults left it.
  bool GapsAreUntouched() const;

  std::string ToString() const;

 private:
  std::byte* Store(const std::vector<float>& values, DataType type);
  Rows StoreRows(const ProblemShape& shape, int64_t length, int64_t heads, int64_t width,
                 DataType type);
  std::vector<float> Normal(int64_t count);
  void SetRow(const Rows& rows, int64_t heads, int64_t width, int64_t row, float value);

  std::mt19937 random_;
  std::deque<std::vector<std::byte>> memory_;  // stays where it is as it grows
  std::vector<std::vector<float>> weights_;
  std::vector<std::vector<float>> log_sum_exp_;
  std::vector<std::vector<std::byte>*> outputs_;  // in memory_
  int64_t gap_ = 0;
};

// Softmax attention in float, straight from the formula. Its error is the measure: a kernel may
// err twice as much.
struct NaiveResult {
  std::vector<float> output;       // in the order of RandomProblem::Output
  std::vector<float> log_sum_exp;  // in the order of RandomProblem::LogSumExp
};

// With `round_p`, unnormalised probabilities are rounded to bfloat16 before they are multiplied
// by the values.
NaiveResult NaiveAttention(const AttentionProblem& problem, bool round_p);

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_ATTENTION_RANDOM_PROBLEM_H_
