// SPDX-License-Identifier: Apache-2.0
#include "core/engine/checked_request.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {

absl::Status CheckOperandForm(absl::string_view field, const Tensor& tensor, const Tensor& query,
                              const OperandForms& forms) {
  if (tensor.type() == DataType::kBool) {
    return InvalidField(field, "needs type FLOAT32, BFLOAT16 or FLOAT16; got BOOL");
  }
  if (tensor.type() != query.type()) {
    return InvalidField(field, absl::StrCat("must have query's type ", Name(query.type()), "; got ",
                                            Name(tensor.type())));
  }
  const int packed_rank = forms.dense_rank - 1;
  if (tensor.rank() != forms.dense_rank && !(forms.may_be_packed && tensor.rank() == packed_rank)) {
    return InvalidField(
        field, absl::StrCat("needs shape ", forms.describe(), "; got ", ToString(tensor.shape())));
  }
  if (tensor.rank() != query.rank()) {
    return InvalidField(
        field,
        absl::StrCat("must be ", query.rank() == packed_rank ? "packed" : "dense", " as query is, ",
                     ToString(query.shape()), "; got ", ToString(tensor.shape())));
  }
  return absl::OkStatus();
}

absl::Status SetOutput(DataType type, Shape shape, CheckedRequest& checked) {
  const absl::StatusOr<size_t> bytes = CheckedByteSize(type, shape);
  if (!bytes.ok()) {
    return InvalidField(
        "query", absl::StrCat("the output's shape ", ToString(shape), " has too many elements"));
  }
  checked.type = type;
  checked.output_shape = std::move(shape);
  checked.output_bytes = *bytes;
  return absl::OkStatus();
}

}  // namespace attend
