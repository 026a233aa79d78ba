#ifndef ATTEND_CORE_ATTENTION_RESOLVE_H_
#define ATTEND_CORE_ATTENTION_RESOLVE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/attention/options.h"
#include "core/attention/problem.h"
#include "core/tensor/tensor.h"

namespace attend {

// Checks lengths and options against the contract (attend.v1.AttentionOptions
// and the requests around it) and resolves everything optional. All functions
// are pure and thread-safe. Every error is INVALID_ARGUMENT with the field.

struct ShapeLimits {
  int64_t max_sequence_length = 0;  // rows of one sequence, padding included
  int64_t max_sequences = 0;        // B
  int64_t max_rows = 0;             // valid rows of all sequences together
  int64_t max_weights_bytes = 0;
};

// The leading axes of an operand.
struct OperandRows {
  bool packed = false;
  int64_t batch = 0;  // dense only
  int64_t rows = 0;   // of each sequence where dense, of all where packed
};

struct SequenceShape {
  int64_t query_length = 0;
  int64_t key_length = 0;
  int64_t query_begin = 0;  // first row, counted over all rows of the tensor
  int64_t key_begin = 0;
  int64_t query_offset = 0;
};

struct BatchShape {
  bool packed = false;  // query is
  // Axes of bias, mask and weights: padded lengths where dense, else the longest.
  int64_t query_axis = 0;
  int64_t key_axis = 0;
  int64_t query_rows = 0;  // valid rows of all sequences
  int64_t key_rows = 0;
  std::vector<SequenceShape> sequences;  // B
};

// Empty lengths are absent ones. `key` is query's where `self_attention`, and key_lengths must
// then be absent.
absl::StatusOr<BatchShape> ResolveLengths(const OperandRows& query, const OperandRows& key,
                                          bool self_attention,
                                          absl::Span<const int64_t> query_lengths,
                                          absl::Span<const int64_t> key_lengths,
                                          const ShapeLimits& limits);

// A bias or mask before it is narrowed to one sequence. Borrows the tensor's data.
struct BatchScoreTerm {
  ScoreTerm term;  // of sequence 0
  int64_t batch_stride = 0;

  ScoreTerm OfSequence(int64_t index) const;
};

// What options that a request leaves out mean: a layer's settings, or the operator's.
struct OptionDefaults {
  float scale = 1.0f;
  float softcap = 0.0f;  // 0: none
  std::optional<int64_t> window_left, window_right;
  bool positional = false;  // results depend on positions whatever the options are
};

struct ResolvedOptions {
  float scale = 1.0f;
  bool causal = false;
  std::optional<int64_t> window_left, window_right;
  float softcap = 0.0f;           // 0: none
  std::vector<float> sinks;       // [H] or empty
  std::vector<float> head_gates;  // [H] or empty
  BatchScoreTerm bias;
  BatchScoreTerm mask;
  const float* alibi_slopes = nullptr;  // [H] of sequence 0, or nullptr
  int64_t alibi_batch_stride = 0;       // elements
  WeightsOutput weights = WeightsOutput::kNone;
  WeightsStage weights_stage = WeightsStage::kProbabilities;
  Shape weights_shape;  // [B, H, Lq, Lk] or [B, Lq, Lk]; empty where none
  size_t weights_bytes = 0;
  Shape log_sum_exp_shape;  // [B, H, Lq], packed [Tq, H]; empty where not asked for
  size_t log_sum_exp_bytes = 0;
};

// Also sets the query offsets of `shape`. `options` stays alive as long as the
// result's terms and slopes are used.
absl::StatusOr<ResolvedOptions> ResolveOptions(const AttentionOptions& options, int64_t num_heads,
                                               const OptionDefaults& defaults,
                                               const ShapeLimits& limits, BatchShape& shape);

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_RESOLVE_H_
