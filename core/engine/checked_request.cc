// SPDX-License-Identifier: Apache-2.0
#include "core/engine/checked_request.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
namespace {

absl::Status CheckResponseBytes(const CheckedRequest& checked, const ShapeLimits& limits) {
  struct Part {
    absl::string_view field;  // the request's field that makes the part as large as it is
    absl::string_view name;
    const Shape& shape;
    size_t bytes;
  };
  const ResolvedOptions& options = checked.options;
  const Part parts[] = {
      {"query", "output", checked.output_shape, checked.output_bytes},
      {"options.weights", "weights", options.weights_shape, options.weights_bytes},
      {"options.log_sum_exp", "log-sum-exp", options.log_sum_exp_shape, options.log_sum_exp_bytes}};
  // Each part has less than 2^63 bytes, but their sum may not fit 64 bits.
  double total = 0.0;
  const Part* largest = &parts[0];
  for (const Part& part : parts) {
    total += static_cast<double>(part.bytes);
    if (part.bytes > largest->bytes) largest = &part;
  }
  if (total <= static_cast<double>(limits.max_response_bytes)) return absl::OkStatus();
  std::string sizes;
  for (const Part& part : parts) {
    if (part.bytes == 0) continue;
    absl::StrAppend(&sizes, sizes.empty() ? "" : " and ", part.bytes, " bytes of ", part.name, " ",
                    ToString(part.shape));
  }
  return MakeError(
      absl::StatusCode::kInvalidArgument, "RESPONSE_TOO_LARGE", largest->field,
      absl::StrCat(largest->field, ": the response may have ", limits.max_response_bytes,
                   " bytes on this server; it would have ", sizes));
}

}  // namespace

absl::Status CheckOperandForm(absl::string_view field, const Tensor& tensor, const Tensor& query,
                              const OperandForms& forms) {
  if (tensor.type() == DataType::kBool) {
    return InvalidField(field, "needs type FLOAT32, BFLOAT16 or FLOAT16; got BOOL",
                        "TYPE_MISMATCH");
  }
  if (tensor.type() != query.type()) {
    return InvalidField(
        field,
        absl::StrCat("must have query's type ", Name(query.type()), "; got ", Name(tensor.type())),
        "TYPE_MISMATCH");
  }
  const int packed_rank = forms.dense_rank - 1;
  if (tensor.rank() != forms.dense_rank && !(forms.may_be_packed && tensor.rank() == packed_rank)) {
    return InvalidField(
        field, absl::StrCat("needs shape ", forms.describe(), "; got ", ToString(tensor.shape())),
        "SHAPE_MISMATCH");
  }
  if (tensor.rank() != query.rank()) {
    return InvalidField(
        field,
        absl::StrCat("must be ", query.rank() == packed_rank ? "packed" : "dense", " as query is, ",
                     ToString(query.shape()), "; got ", ToString(tensor.shape())),
        "SHAPE_MISMATCH");
  }
  return absl::OkStatus();
}

absl::Status SetOutput(DataType type, Shape shape, const ShapeLimits& limits,
                       CheckedRequest& checked) {
  const absl::StatusOr<size_t> bytes = CheckedByteSize(type, shape);
  if (!bytes.ok()) {
    return InvalidField(
        "query", absl::StrCat("the output's shape ", ToString(shape), " has too many elements"),
        "TOO_LARGE");
  }
  checked.type = type;
  checked.output_shape = std::move(shape);
  checked.output_bytes = *bytes;
  return CheckResponseBytes(checked, limits);
}

}  // namespace attend
