// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_TENSOR_BUFFER_H_
#define ATTEND_CLIENT_CPP_ATTEND_TENSOR_BUFFER_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "attend/tensor.h"

namespace attend::client {

// The caller's memory for one tensor of a response. Never owns it: it must live,
// and nobody else may use it, until the call has ended. What it holds after a
// call that failed is unspecified.
class TensorBuffer {
 public:
  // No memory: `present()` is false, and the response owns its elements.
  TensorBuffer() = default;

  template <Element T>
  TensorBuffer(absl::Span<T> values)  // NOLINT(google-explicit-constructor)
      : type_(DataTypeOf<T>()), data_(values.data()), size_bytes_(values.size() * sizeof(T)) {}
  template <VectorElement T>
  TensorBuffer(std::vector<T>& values)  // NOLINT(google-explicit-constructor)
      : TensorBuffer(absl::MakeSpan(values)) {}

  bool present() const { return data_ != nullptr; }
  DataType type() const { return type_; }
  void* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  DataType type_ = DataType::kFloat32;
  void* data_ = nullptr;
  size_t size_bytes_ = 0;
};

// Where the tensors of one response are written. A buffer must have exactly the
// type and the number of elements of its tensor, and the response must hold that
// tensor; otherwise the call fails with INVALID_ARGUMENT, reason BUFFER_MISMATCH,
// after the server has answered.
struct ResponseBuffers {
  TensorBuffer output = {};
  TensorBuffer weights = {};
  TensorBuffer log_sum_exp = {};
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_TENSOR_BUFFER_H_
