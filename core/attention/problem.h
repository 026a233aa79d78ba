#ifndef ATTEND_CORE_ATTENTION_PROBLEM_H_
#define ATTEND_CORE_ATTENTION_PROBLEM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/attention/options.h"
#include "core/tensor/tensor.h"

namespace attend {

// The operator with everything optional resolved: what the reference and the
// kernels compute. Pointers are borrowed: whoever runs the problem keeps them
// alive until the run ends. See attend.v1.AttentionOptions for the equation.

// The rows of one operand in one sequence: feature f of head h in row r is the
// element at r * row_stride + h * head_stride + f.
template <typename Byte>
struct BasicRows {
  Byte* data = nullptr;
  int64_t row_stride = 0;   // elements
  int64_t head_stride = 0;  // elements
};
using Rows = BasicRows<const std::byte>;
using MutableRows = BasicRows<std::byte>;

// Offsets and windows lie within +-this, so that sums of them and lengths do not
// overflow; farther ones cannot be told apart by anything that reads keys.
inline constexpr int64_t kFarPosition = int64_t{1} << 61;

// A mask or bias over (head, query row, key) of one sequence, from strides in
// elements; 0 where an axis is broadcast. data == nullptr: there is none.
struct ScoreTerm {
  const std::byte* data = nullptr;
  DataType type = DataType::kFloat32;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
  int64_t key_stride = 0;
};

struct SequenceProblem {
  int64_t query_length = 0;  // Lq, valid rows; may be 0
  int64_t key_length = 0;    // Lk, valid rows; may be 0
  int64_t query_offset = 0;  // position of query row 0 among the keys
  Rows query;                // H heads of D
  Rows key;                  // Hkv heads of D
  Rows value;                // Hkv heads of Dv
  MutableRows output;        // H heads of Dv; every valid row is written
  ScoreTerm bias;            // any float type
  ScoreTerm more_bias;       // added to bias; any float type, only where there is a bias
  ScoreTerm mask;            // kBool, true = may attend

  // One slope a head, [H], or nullptr: the score loses slope * |p - j|.
  const float* alibi_slopes = nullptr;

  // Float32 [H or 1][Lq][Lk] by the strides of AttentionProblem, or nullptr.
  // The valid part is written, padding is left as it was.
  float* weights = nullptr;

  // Float32 [H][Lq] by the strides of AttentionProblem, or nullptr: ln Z.
  float* log_sum_exp = nullptr;
};

struct AttentionProblem {
  int64_t num_heads = 0;       // H
  int64_t num_kv_heads = 0;    // Hkv; H % Hkv == 0
  int64_t head_dim = 0;        // D >= 1
  int64_t value_head_dim = 0;  // Dv >= 1
  float scale = 1.0f;
  bool causal = false;
  // Row at position p reads key j only if p - left <= j <= p + right; unbounded
  // where absent.
  std::optional<int64_t> window_left, window_right;
  float softcap = 0.0f;      // 0: none
  std::vector<float> sinks;  // [H], or empty for none

  // Of query, key and value. kBFloat16: P and products' inputs may be rounded
  // to bfloat16; kFloat32 and kFloat16 compute in float32.
  DataType input_type = DataType::kFloat32;
  DataType output_type = DataType::kFloat32;

  std::vector<float> head_gates;  // [H], or empty for all 1
  WeightsOutput weights = WeightsOutput::kNone;
  WeightsStage weights_stage = WeightsStage::kProbabilities;
  int64_t weights_head_stride = 0;      // elements, kPerHead only
  int64_t weights_row_stride = 0;       // elements
  int64_t log_sum_exp_head_stride = 0;  // elements
  int64_t log_sum_exp_row_stride = 0;   // elements

  std::vector<SequenceProblem> sequences;
};

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_PROBLEM_H_
