// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_TENSOR_TENSOR_H_
#define ATTEND_CORE_TENSOR_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/aligned_buffer.h"

namespace attend {

enum class DataType { kFloat32, kBFloat16, kFloat16, kBool };

// Bytes of one element.
constexpr size_t ElementSize(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return 4;
    case DataType::kBFloat16:
    case DataType::kFloat16:
      return 2;
    case DataType::kBool:
      return 1;
  }
  return 0;
}

// "FLOAT32", "BFLOAT16", "FLOAT16", "BOOL": as on the wire.
absl::string_view Name(DataType type);

using Shape = absl::InlinedVector<int64_t, 4>;

// "[2, 128, 768]"
std::string ToString(absl::Span<const int64_t> shape);

// Bytes of a dense tensor. INVALID_ARGUMENT if an axis is negative, or if the element size times
// the product of all axes other than 0 does not fit int64, so that no stride of an empty tensor
// overflows; allocates nothing.
absl::StatusOr<size_t> CheckedByteSize(DataType type, absl::Span<const int64_t> shape);

// A dense row-major array that owns its memory (64-byte aligned). Move-only.
// Thread-compatible.
class Tensor {
 public:
  Tensor() = default;

  // Uninitialised. Precondition: CheckedByteSize(type, shape) is OK.
  Tensor(DataType type, Shape shape);

  DataType type() const { return type_; }
  const Shape& shape() const { return shape_; }
  int64_t dim(int axis) const { return shape_[axis]; }
  int rank() const { return static_cast<int>(shape_.size()); }
  size_t byte_size() const { return buffer_.size(); }

  std::byte* data() { return buffer_.data(); }
  const std::byte* data() const { return buffer_.data(); }
  template <typename T>
  T* as() {
    return buffer_.as<T>();
  }
  template <typename T>
  const T* as() const {
    return buffer_.as<T>();
  }

 private:
  DataType type_ = DataType::kFloat32;
  Shape shape_;
  AlignedBuffer buffer_;
};

}  // namespace attend

#endif  // ATTEND_CORE_TENSOR_TENSOR_H_
