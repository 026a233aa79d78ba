#include "core/engine/operand.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
int64_t Plan::Bytes() const {
  // Sequences are described in the plan's shape and in what it is bound to.
  const size_t each = sizeof(PlacedSequence) + sizeof(SequenceProblem) + sizeof(LayerSequence);
  return static_cast<int64_t>(output_bytes + options.weights_bytes + options.log_sum_exp_bytes +
                              shape.sequences.size() * each);
}

absl::Status CheckOperandType(absl::string_view field, const Tensor& tensor, DataType query_type) {
  if (tensor.type() == DataType::kBool) {
    return InvalidField(field, "needs type FLOAT32, BFLOAT16 or FLOAT16; got BOOL");
  }
  if (tensor.type() != query_type) {
    return InvalidField(field, absl::StrCat("must have query's type ", Name(query_type), "; got ",
                                            Name(tensor.type())));
  }
  return absl::OkStatus();
}

absl::Status SetOutputBytes(Plan& plan) {
  const absl::StatusOr<size_t> bytes = CheckedByteSize(plan.type, plan.output_shape);
  if (!bytes.ok()) {
    return InvalidField("query", absl::StrCat("the output's shape ", ToString(plan.output_shape),
                                              " has too many elements"));
  }
  plan.output_bytes = *bytes;
  return absl::OkStatus();
}

void ZeroRows(std::byte* data, int64_t length, int64_t rows, size_t row_bytes) {
  if (length >= rows || row_bytes == 0) return;
  std::memset(data + static_cast<size_t>(length) * row_bytes, 0,
              static_cast<size_t>(rows - length) * row_bytes);
}

float* BindWeights(const Plan& plan, int64_t index, std::optional<Tensor>& weights) {
  if (!weights.has_value() || weights->byte_size() == 0) return nullptr;
  const float fill =
      plan.options.params.weights_stage == WeightsStage::kProbabilities ? 0.0f : kMinusInfinity;
  const int64_t heads =
      plan.options.params.weights == WeightsOutput::kPerHead ? weights->dim(1) : 1;
  const int64_t rows = plan.shape.max_query_length;
  const int64_t keys = plan.shape.max_key_length;
  const PlacedSequence& sequence = plan.shape.sequences[static_cast<size_t>(index)];
  float* const base = weights->as<float>() + index * heads * rows * keys;
  for (int64_t head = 0; head < heads; ++head) {
    float* const matrix = base + head * rows * keys;
    std::fill(matrix + sequence.query_length * keys, matrix + rows * keys, fill);
    if (sequence.key_length == keys) continue;
    for (int64_t row = 0; row < sequence.query_length; ++row) {
      std::fill(matrix + row * keys + sequence.key_length, matrix + (row + 1) * keys, fill);
    }
  }
  return base;
}

float* BindLogSumExp(const Plan& plan, int64_t index, std::optional<Tensor>& log_sum_exp) {
  if (!log_sum_exp.has_value() || log_sum_exp->byte_size() == 0) return nullptr;
  const PlacedSequence& sequence = plan.shape.sequences[static_cast<size_t>(index)];
  const int64_t heads = log_sum_exp->dim(1);
  if (plan.shape.packed) return log_sum_exp->as<float>() + sequence.query_begin * heads;
  const int64_t rows = plan.shape.max_query_length;
  float* const base = log_sum_exp->as<float>() + index * heads * rows;
  for (int64_t head = 0; head < heads; ++head) {
    std::fill(base + head * rows + sequence.query_length, base + (head + 1) * rows, kMinusInfinity);
  }
  return base;
}

}  // namespace attend
