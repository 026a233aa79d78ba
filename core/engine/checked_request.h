// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_CHECKED_REQUEST_H_
#define ATTEND_CORE_ENGINE_CHECKED_REQUEST_H_

#include <cstddef>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/attention/lengths.h"
#include "core/attention/problem.h"
#include "core/attention/resolve_options.h"
#include "core/tensor/tensor.h"

namespace attend {

// The facts that the check of a request derives from its shapes and options alone. The arguments
// of its sequences borrow from the request.
struct CheckedRequest {
  HeadShape heads;
  BatchShape shape;
  ResolvedOptions options;
  DataType type = DataType::kFloat32;  // type of query, key, value and output
  Shape output_shape;
  size_t output_bytes = 0;
};

// The shapes that a kind of request accepts for an operand.
struct OperandForms {
  int dense_rank = 0;
  bool may_be_packed = false;  // a packed tensor has one axis less
  absl::FunctionRef<std::string()> describe;
};

// Checks the requirements on an operand that both kinds of request share: INVALID_ARGUMENT
// unless it has a float type, which is the query's, and one of the forms, packed or dense as the
// query.
absl::Status CheckOperandForm(absl::string_view field, const Tensor& tensor, const Tensor& query,
                              const OperandForms& forms);

// Sets the type, shape and size of the output. The options must be resolved. INVALID_ARGUMENT,
// reason RESPONSE_TOO_LARGE, if the output and what the options request beside it need more than
// limits.max_response_bytes.
absl::Status SetOutput(DataType type, Shape shape, const ShapeLimits& limits,
                       CheckedRequest& checked);

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_CHECKED_REQUEST_H_
