#ifndef ATTEND_CORE_ENGINE_OPERAND_H_
#define ATTEND_CORE_ENGINE_OPERAND_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/attention/resolve.h"
#include "core/engine/plan.h"
#include "core/tensor/tensor.h"

namespace attend {

// What planning and binding of both kinds of request share.

// INVALID_ARGUMENT unless the tensor has a float type, the query's.
absl::Status CheckOperandType(absl::string_view field, const Tensor& tensor, DataType query_type);

// Checks output_shape's size and sets output_bytes.
absl::Status SetOutputBytes(Plan& plan);

// Sets the rows [length, rows) of one head or sequence to 0.
void ZeroRows(std::byte* data, int64_t length, int64_t rows, size_t row_bytes);

// Where sequence `index` has its weights, or nullptr; fills what lies outside its
// lengths: with 0 where they are probabilities, else -inf.
float* BindWeights(const Plan& plan, int64_t index, std::optional<Tensor>& weights);

// The same of its log-sum-exp, filled with -inf.
float* BindLogSumExp(const Plan& plan, int64_t index, std::optional<Tensor>& log_sum_exp);

// [H] of the sequence, or nullptr.
const float* AlibiSlopes(const Plan& plan, int64_t index);

// Strides of a weights tensor, in elements.
inline int64_t WeightsRowStride(const Plan& plan) {
  return plan.shape.key_axis;
}
inline int64_t WeightsHeadStride(const Plan& plan) {
  return plan.shape.query_axis * plan.shape.key_axis;
}

// And of a log-sum-exp.
inline int64_t LogSumExpRowStride(const Plan& plan) {
  return plan.shape.packed ? plan.options.log_sum_exp_shape.back() : 1;
}
inline int64_t LogSumExpHeadStride(const Plan& plan) {
  return plan.shape.packed ? 1 : plan.shape.query_axis;
}

// Copies the options that an item of a layer and a problem of the operator name alike.
template <typename Target>
void BindOptions(const Plan& plan, Target& target) {
  const ResolvedOptions& options = plan.options;
  target.scale = options.scale;
  target.causal = options.causal;
  target.window_left = options.window_left;
  target.window_right = options.window_right;
  target.softcap = options.softcap;
  target.sinks = options.sinks;
  target.head_gates = options.head_gates;
  target.weights = options.weights;
  target.weights_stage = options.weights_stage;
  target.weights_head_stride = WeightsHeadStride(plan);
  target.weights_row_stride = WeightsRowStride(plan);
  if (options.log_sum_exp_shape.empty()) return;
  target.log_sum_exp_head_stride = LogSumExpHeadStride(plan);
  target.log_sum_exp_row_stride = LogSumExpRowStride(plan);
}

// The same of a sequence.
template <typename Target>
void BindSequence(const Plan& plan, int64_t index, Target& target) {
  const SequenceShape& shape = plan.shape.sequences[static_cast<size_t>(index)];
  target.query_length = shape.query_length;
  target.key_length = shape.key_length;
  target.query_offset = shape.query_offset;
  target.bias = plan.options.bias.OfSequence(index);
  target.mask = plan.options.mask.OfSequence(index);
  target.alibi_slopes = AlibiSlopes(plan, index);
}

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_OPERAND_H_
