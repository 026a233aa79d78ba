// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/tensor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace attend {
namespace {

size_t UncheckedByteSize(DataType type, const Shape& shape) {
  size_t bytes = ElementSize(type);
  for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
  return bytes;
}

}  // namespace

absl::string_view Name(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return "FLOAT32";
    case DataType::kBFloat16:
      return "BFLOAT16";
    case DataType::kFloat16:
      return "FLOAT16";
    case DataType::kBool:
      return "BOOL";
  }
  return "";
}

std::string ToString(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::StatusOr<size_t> CheckedByteSize(DataType type, absl::Span<const int64_t> shape) {
  int64_t bytes = static_cast<int64_t>(ElementSize(type));
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape ", ToString(shape), " has a negative size"));
    }
    if (size == 0) {
      empty = true;  // later axes must still be checked for signs
    } else if (__builtin_mul_overflow(bytes, size, &bytes)) {
      return absl::InvalidArgumentError(absl::StrCat("shape ", ToString(shape),
                                                     " has too many elements: the product of its ",
                                                     "sizes other than 0 does not fit 64 bits"));
    }
  }
  return empty ? 0 : static_cast<size_t>(bytes);
}

Tensor::Tensor(DataType type, Shape shape)
    : type_(type), shape_(std::move(shape)), buffer_(UncheckedByteSize(type_, shape_)) {}

}  // namespace attend
