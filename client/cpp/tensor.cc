// SPDX-License-Identifier: Apache-2.0
#include "attend/tensor.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace attend::client {

absl::string_view Name(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return "float32";
    case DataType::kBFloat16:
      return "bfloat16";
    case DataType::kFloat16:
      return "float16";
    case DataType::kBool:
      return "bool";
  }
  return "unknown";
}

size_t ElementSize(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return 4;
    case DataType::kBFloat16:
    case DataType::kFloat16:
      return 2;
    case DataType::kBool:
      return 1;
  }
  return 1;
}

std::string ToString(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

TensorView::TensorView(const std::vector<bool>& values, Shape shape)
    : TensorView(Owning(std::vector<uint8_t>(values.begin(), values.end()), std::move(shape))) {}

absl::Status TensorView::Validate() const {
  int64_t product = static_cast<int64_t>(ElementSize(type_));  // of the sizes other than 0
  bool empty = false;
  for (const int64_t size : shape_) {
    if (size < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape ", ToString(shape_), " has a negative size"));
    }
    if (size == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, size, &product)) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape ", ToString(shape_), " has too many elements"));
    }
  }
  const size_t bytes = empty ? 0 : static_cast<size_t>(product);
  if (bytes != size_bytes_) {
    return absl::InvalidArgumentError(absl::StrCat("shape ", ToString(shape_), " of ", Name(type_),
                                                   " needs ", bytes, " bytes, got ", size_bytes_));
  }
  return absl::OkStatus();
}

absl::Status Tensor::WrongType(DataType asked) const {
  return absl::InvalidArgumentError(
      absl::StrCat("the tensor is ", Name(type_), ", not ", Name(asked)));
}

std::vector<float> Tensor::ToFloats() const {
  std::vector<float> floats(num_elements());
  const void* data = data_.get();
  switch (type_) {
    case DataType::kFloat32:
      if (!floats.empty()) std::memcpy(floats.data(), data, size_bytes_);
      break;
    case DataType::kBFloat16:
      Convert(absl::MakeConstSpan(static_cast<const BFloat16*>(data), floats.size()),
              absl::MakeSpan(floats));
      break;
    case DataType::kFloat16:
      Convert(absl::MakeConstSpan(static_cast<const Float16*>(data), floats.size()),
              absl::MakeSpan(floats));
      break;
    case DataType::kBool:
      for (size_t i = 0; i < floats.size(); ++i) {
        floats[i] = static_cast<const uint8_t*>(data)[i] != 0 ? 1.0f : 0.0f;
      }
      break;
  }
  return floats;
}

}  // namespace attend::client
