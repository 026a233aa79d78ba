#ifndef ATTEND_CORE_ENGINE_OPERAND_H_
#define ATTEND_CORE_ENGINE_OPERAND_H_

#include <cstdint>

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

// Where sequence `index` has its weights; sets what lies outside its lengths to 0.
float* BindWeights(const Plan& plan, int64_t index, Tensor* weights);

// Strides of a weights tensor, in elements.
inline int64_t WeightsRowStride(const Plan& plan) {
  return plan.shape.key_axis;
}
inline int64_t WeightsHeadStride(const Plan& plan) {
  return plan.shape.query_axis * plan.shape.key_axis;
}

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_OPERAND_H_
