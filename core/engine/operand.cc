#include "core/engine/operand.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {

int64_t Plan::Bytes() const {
  // Sequences are described in the plan's shape and in what it is bound to.
  const size_t each = sizeof(SequenceShape) + sizeof(SequenceProblem) + sizeof(LayerSequence);
  return static_cast<int64_t>(output_bytes + options.weights_bytes + shape.sequences.size() * each);
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

float* BindWeights(const Plan& plan, int64_t index, Tensor* weights) {
  if (weights == nullptr || weights->byte_size() == 0) return nullptr;
  const int64_t heads = plan.options.weights == WeightsOutput::kPerHead ? weights->dim(1) : 1;
  const int64_t rows = plan.shape.query_axis;
  const int64_t keys = plan.shape.key_axis;
  const SequenceShape& sequence = plan.shape.sequences[static_cast<size_t>(index)];
  float* const base = weights->as<float>() + index * heads * rows * keys;
  const size_t row_bytes = static_cast<size_t>(keys) * sizeof(float);
  for (int64_t head = 0; head < heads; ++head) {
    float* const matrix = base + head * rows * keys;
    ZeroRows(reinterpret_cast<std::byte*>(matrix), sequence.query_length, rows, row_bytes);
    if (sequence.key_length == keys) continue;
    for (int64_t row = 0; row < sequence.query_length; ++row) {
      std::memset(matrix + row * keys + sequence.key_length, 0,
                  static_cast<size_t>(keys - sequence.key_length) * sizeof(float));
    }
  }
  return base;
}

}  // namespace attend
