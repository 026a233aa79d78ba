// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_LENGTHS_H_
#define ATTEND_CORE_ATTENTION_LENGTHS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/attention/problem.h"

namespace attend {

// Limits of a server on the size of one request.
struct ShapeLimits {
  int64_t max_sequence_length = 0;  // rows of one sequence, padding included
  int64_t max_sequences = 0;        // B
  int64_t max_rows = 0;             // valid rows of all sequences together
  int64_t max_weights_bytes = 0;
  int64_t max_heads = 0;           // query heads of the bare operator; a layer has its own
  int64_t max_response_bytes = 0;  // output, weights and log-sum-exp together
};

// The widest head of query, key or value that the bare operator takes. No model has wider ones.
// The limit bounds a worker's scratch, which is charged to no request.
inline constexpr int64_t kMaxHeadDim = 4096;

// The leading axes of an operand.
struct OperandRows {
  bool packed = false;
  int64_t batch = 0;  // dense only
  int64_t rows = 0;   // per sequence if dense, of all sequences if packed
};

// One sequence of a request: its arguments, and where its rows begin. The first row is counted
// over all rows of the tensor, padding included.
struct PlacedSequence : SequenceArgs {
  int64_t query_begin = 0;
  int64_t key_begin = 0;
};

struct BatchShape {
  bool packed = false;  // whether the query is packed
  // Axes of bias, mask and weights: the padded length if dense, otherwise the longest.
  int64_t max_query_length = 0;
  int64_t max_key_length = 0;
  int64_t query_rows = 0;  // valid rows of all sequences
  int64_t key_rows = 0;
  std::vector<PlacedSequence> sequences;  // B
};

// Checks lengths against the contract (attend.v1) and places the sequences; sets only the
// lengths of their arguments. An empty list of lengths counts as absent. With `self_attention`,
// `key` is the query's and key_lengths must be absent. INVALID_ARGUMENT with the field that is
// wrong. Pure, thread-safe.
absl::StatusOr<BatchShape> ResolveLengths(const OperandRows& query, const OperandRows& key,
                                          bool self_attention,
                                          absl::Span<const int64_t> query_lengths,
                                          absl::Span<const int64_t> key_lengths,
                                          const ShapeLimits& limits);

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_LENGTHS_H_
