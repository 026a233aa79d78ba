// SPDX-License-Identifier: Apache-2.0
#include "core/engine/outputs.h"

#include <algorithm>
#include <cstring>

namespace attend {
namespace {

float* BindWeights(const CheckedRequest& checked, int64_t index, Tensor& weights) {
  const AttentionParams& params = checked.options.params;
  const float fill = params.weights_stage == WeightsStage::kProbabilities ? 0.0f : kMinusInfinity;
  const int64_t heads = params.weights == WeightsOutput::kPerHead ? weights.dim(1) : 1;
  const int64_t rows = checked.shape.max_query_length;
  const int64_t keys = checked.shape.max_key_length;
  const PlacedSequence& sequence = checked.shape.sequences[static_cast<size_t>(index)];
  float* const base = weights.as<float>() + index * heads * rows * keys;
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

float* BindLogSumExp(const CheckedRequest& checked, int64_t index, Tensor& log_sum_exp) {
  const PlacedSequence& sequence = checked.shape.sequences[static_cast<size_t>(index)];
  const int64_t heads = log_sum_exp.dim(1);
  if (checked.shape.packed) return log_sum_exp.as<float>() + sequence.query_begin * heads;
  const int64_t rows = checked.shape.max_query_length;
  float* const base = log_sum_exp.as<float>() + index * heads * rows;
  for (int64_t head = 0; head < heads; ++head) {
    std::fill(base + head * rows + sequence.query_length, base + (head + 1) * rows, kMinusInfinity);
  }
  return base;
}

}  // namespace

int64_t CountOutputBytes(const CheckedRequest& checked) {
  return static_cast<int64_t>(checked.output_bytes + checked.options.weights_bytes +
                              checked.options.log_sum_exp_bytes);
}

void AllocateOutputs(const CheckedRequest& checked, Response& response) {
  response.output = Tensor(checked.type, checked.output_shape);
  if (checked.options.params.weights != WeightsOutput::kNone) {
    response.weights.emplace(DataType::kFloat32, checked.options.weights_shape);
  }
  if (!checked.options.log_sum_exp_shape.empty()) {
    response.log_sum_exp.emplace(DataType::kFloat32, checked.options.log_sum_exp_shape);
  }
}

void BindOutputs(const CheckedRequest& checked, int64_t index, Response& response,
                 SequenceArgs& sequence) {
  const auto holds_rows = [](const std::optional<Tensor>& tensor) {
    return tensor.has_value() && tensor->byte_size() > 0;
  };
  if (holds_rows(response.weights)) {
    sequence.weights = BindWeights(checked, index, *response.weights);
  }
  if (holds_rows(response.log_sum_exp)) {
    sequence.log_sum_exp = BindLogSumExp(checked, index, *response.log_sum_exp);
  }
}

void ZeroRows(std::byte* data, int64_t length, int64_t rows, size_t row_bytes) {
  if (length >= rows || row_bytes == 0) return;
  std::memset(data + static_cast<size_t>(length) * row_bytes, 0,
              static_cast<size_t>(rows - length) * row_bytes);
}

}  // namespace attend
