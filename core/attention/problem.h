// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_PROBLEM_H_
#define ATTEND_CORE_ATTENTION_PROBLEM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "core/attention/options.h"
#include "core/tensor/tensor.h"

namespace attend {

inline constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// The operator with all options resolved: the input of the reference and the kernels. Pointers
// are borrowed: the caller keeps them alive until the run ends. See attend.v1.AttentionOptions
// for the equation.

// The rows of one operand in one sequence: feature f of head h in row r is the
// element at r * row_stride + h * head_stride + f.
template <typename Byte>
struct BasicRows {
  Byte* data = nullptr;
  int64_t row_stride = 0;   // elements
  int64_t head_stride = 0;  // elements

  Byte* At(DataType type, int64_t head, int64_t row) const {
    return data + (row * row_stride + head * head_stride) * static_cast<int64_t>(ElementSize(type));
  }
};
using Rows = BasicRows<const std::byte>;
using MutableRows = BasicRows<std::byte>;

// Offsets and windows lie within +-this, so that sums of them and lengths do not
// overflow; beyond it all offsets behave alike.
inline constexpr int64_t kFarPosition = int64_t{1} << 61;

// A mask or bias over (head, query row, key) of one sequence, addressed by strides in elements.
// The stride of a broadcast axis is 0. data == nullptr: there is none.
struct ScoreTerm {
  const std::byte* data = nullptr;
  DataType type = DataType::kFloat32;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
  int64_t key_stride = 0;

  int64_t Index(int64_t head, int64_t row, int64_t key) const {
    return head * head_stride + row * row_stride + key * key_stride;
  }
};

// A request's attention options, the same for all its sequences. The only description of them
// from the check of the options to the kernels.
struct AttentionParams {
  float scale = 1.0f;
  bool causal = false;
  // A row at position p reads key j only if p - left <= j <= p + right; unbounded
  // where absent.
  std::optional<int64_t> window_left, window_right;
  float softcap = 0.0f;           // 0: none
  std::vector<float> sinks;       // [H], or empty for none
  std::vector<float> head_gates;  // [H], or empty for all 1
  WeightsOutput weights = WeightsOutput::kNone;
  WeightsStage weights_stage = WeightsStage::kProbabilities;

  // Strides, in elements, of the float32 arrays that sequences point to: the weights (a head
  // stride only with kPerHead) and the log-sum-exp.
  int64_t weights_head_stride = 0;
  int64_t weights_row_stride = 0;
  int64_t log_sum_exp_head_stride = 0;
  int64_t log_sum_exp_row_stride = 0;

  float gate(int64_t head) const { return head_gates.empty() ? 1.0f : head_gates[head]; }
  float sink(int64_t head) const { return sinks.empty() ? kMinusInfinity : sinks[head]; }
  int64_t CountClosedGates() const {
    return std::count(head_gates.begin(), head_gates.end(), 0.0f);
  }
  // Whether the positions of rows limit what they read.
  bool limits_keys() const { return causal || window_left.has_value() || window_right.has_value(); }
};

// The arguments of one sequence of a request, and where its results other than the output go.
struct SequenceArgs {
  int64_t query_length = 0;  // Lq, valid rows; may be 0
  int64_t key_length = 0;    // Lk, valid rows; may be 0
  int64_t query_offset = 0;  // position of query row 0 among the keys
  ScoreTerm bias;            // any float type
  ScoreTerm mask;            // kBool, true = may attend

  // One slope per head, [H], or nullptr: the score loses slope * |p - j|.
  const float* alibi_slopes = nullptr;

  // float32 [H or 1][Lq][Lk] with the strides of AttentionParams, or nullptr. The valid part is
  // written, padding is left as it was.
  float* weights = nullptr;

  // float32 [H][Lq] with the strides of AttentionParams, or nullptr: ln Z.
  float* log_sum_exp = nullptr;
};

// One sequence of a problem: its arguments, and where its rows are.
struct SequenceProblem : SequenceArgs {
  SequenceProblem() = default;
  explicit SequenceProblem(const SequenceArgs& args) : SequenceArgs(args) {}

  Rows query;               // H heads of D
  Rows key;                 // Hkv heads of D
  Rows value;               // Hkv heads of Dv
  MutableRows output;       // H heads of Dv; every valid row is written
  ScoreTerm relative_bias;  // a layer's, added to bias; any float type

  bool has_bias() const { return bias.data != nullptr || relative_bias.data != nullptr; }
};

struct HeadShape {
  int64_t num_heads = 0;       // H
  int64_t num_kv_heads = 0;    // Hkv; H % Hkv == 0
  int64_t head_dim = 0;        // D >= 1
  int64_t value_head_dim = 0;  // Dv >= 1

  // Query heads per head of keys and values.
  int64_t group_size() const { return num_heads / num_kv_heads; }
};

struct AttentionProblem : HeadShape {
  // Type of query, key and value. With kBFloat16, P and the inputs of products may be rounded to
  // bfloat16; kFloat32 and kFloat16 compute in float32.
  DataType input_type = DataType::kFloat32;
  DataType output_type = DataType::kFloat32;

  const AttentionParams* params = nullptr;
  absl::Span<const SequenceProblem> sequences;

  const std::byte* QueryRow(const SequenceProblem& sequence, int64_t head, int64_t row) const {
    return sequence.query.At(input_type, head, row);
  }
  std::byte* OutputRow(const SequenceProblem& sequence, int64_t head, int64_t row) const {
    return sequence.output.At(output_type, head, row);
  }
  // Preconditions: the sequence has weights, or a log-sum-exp.
  float* WeightsRow(const SequenceProblem& sequence, int64_t head, int64_t row) const {
    const int64_t matrix = params->weights == WeightsOutput::kPerHead ? head : 0;
    return sequence.weights + matrix * params->weights_head_stride +
           row * params->weights_row_stride;
  }
  float& LogSumExp(const SequenceProblem& sequence, int64_t head, int64_t row) const {
    return sequence
        .log_sum_exp[head * params->log_sum_exp_head_stride + row * params->log_sum_exp_row_stride];
  }
};

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_PROBLEM_H_
