// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_TENSOR_H_
#define ATTEND_CLIENT_CPP_ATTEND_TENSOR_H_

// Dense row-major arrays on their way to and from the server.

#include <concepts>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attend/data_type.h"

namespace attend::client {

// Elements that lie one after the other in a vector; std::vector<bool> packs them.
template <typename T>
concept VectorElement = Element<T> && !std::same_as<T, bool>;

// An input: the caller's memory and its shape. Never owns the elements, except
// through `owner`. A vector that is about to die is not accepted: Owning takes it.
//
// Without an owner the elements are copied once while the request is made and
// may change or go as soon as that call (Call, Start or Prepare) returns. With
// an owner they are not copied at all: gRPC sends from the memory itself and
// holds the owner until the last byte has left, which may be after the call has
// ended; until the owner is released the elements must not change.
class TensorView {
 public:
  // No tensor: `present()` is false.
  TensorView() = default;

  // A wrong number of values for the shape shows when the request is made.
  template <Element T>
  TensorView(absl::Span<const T> values, Shape shape, std::shared_ptr<const void> owner = nullptr)
      : TensorView(DataTypeOf<T>(), values.data(), values.size() * sizeof(T), std::move(shape),
                   std::move(owner)) {}
  template <VectorElement T>
  TensorView(const std::vector<T>& values, Shape shape, std::shared_ptr<const void> owner = nullptr)
      : TensorView(absl::Span<const T>(values), std::move(shape), std::move(owner)) {}
  template <VectorElement T>
  TensorView(const std::vector<T>&& values, Shape shape,
             std::shared_ptr<const void> owner = nullptr) = delete;

  // A mask. Copies the bits into bytes, which the view owns.
  TensorView(const std::vector<bool>& values, Shape shape);

  // A view that owns its elements.
  template <VectorElement T>
  static TensorView Owning(std::vector<T> values, Shape shape) {
    const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
    return TensorView(*owner, std::move(shape), owner);
  }

  // From untyped little-endian bytes, for example of a file. Need not be aligned.
  TensorView(DataType type, const void* data, size_t size_bytes, Shape shape,
             std::shared_ptr<const void> owner = nullptr)
      : present_(true),
        type_(type),
        shape_(std::move(shape)),
        data_(data),
        size_bytes_(size_bytes),
        owner_(std::move(owner)) {}

  bool present() const { return present_; }
  DataType type() const { return type_; }
  const Shape& shape() const { return shape_; }
  const void* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }

  // OK, or INVALID_ARGUMENT where the shape has a negative size, the product of its
  // sizes other than 0 overflows (as the server counts it, see tensor.proto), or the
  // bytes are not exactly the product times the element size.
  absl::Status Validate() const;

 private:
  bool present_ = false;
  DataType type_ = DataType::kFloat32;
  Shape shape_;
  const void* data_ = nullptr;
  size_t size_bytes_ = 0;
  std::shared_ptr<const void> owner_;
};

// A result: owns its elements, which never change, unless they were asked for in
// a TensorBuffer. Copies share them.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DataType type, Shape shape, std::shared_ptr<const void> data, size_t size_bytes)
      : type_(type), shape_(std::move(shape)), data_(std::move(data)), size_bytes_(size_bytes) {}

  DataType type() const { return type_; }
  const Shape& shape() const { return shape_; }
  size_t size_bytes() const { return size_bytes_; }
  size_t num_elements() const { return size_bytes_ / ElementSize(type_); }

  // Aligned to 64 bytes where the tensor owns it.
  const void* data() const { return data_.get(); }

  // The elements, while this tensor or a copy of it lives. INVALID_ARGUMENT
  // where T is not the tensor's type.
  template <Element T>
  absl::StatusOr<absl::Span<const T>> values() const {
    if (DataTypeOf<T>() != type_) return WrongType(DataTypeOf<T>());
    return absl::MakeConstSpan(static_cast<const T*>(data_.get()), size_bytes_ / sizeof(T));
  }

  // The elements as floats whatever the type (bool: 0 and 1); a copy.
  std::vector<float> ToFloats() const;

  // As an input of another call, uncopied: the view shares ownership.
  TensorView view() const { return TensorView(type_, data_.get(), size_bytes_, shape_, data_); }

 private:
  absl::Status WrongType(DataType asked) const;

  DataType type_ = DataType::kFloat32;
  Shape shape_;
  std::shared_ptr<const void> data_;
  size_t size_bytes_ = 0;
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_TENSOR_H_
