#ifndef ATTEND_CORE_ENGINE_OPERAND_H_
#define ATTEND_CORE_ENGINE_OPERAND_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/attention/lengths.h"
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

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_OPERAND_H_
