// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_DATA_TYPE_H_
#define ATTEND_CLIENT_CPP_ATTEND_DATA_TYPE_H_

// The element types of tensors, and their shapes.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attend/float16.h"

namespace attend::client {

// Values as in attend/v1/tensor.proto.
enum class DataType { kFloat32 = 1, kBFloat16 = 2, kFloat16 = 3, kBool = 4 };

// "float32", "bfloat16", "float16" or "bool".
absl::string_view Name(DataType type);

// Bytes of one element.
size_t ElementSize(DataType type);

// Sizes of the axes, outermost first.
using Shape = std::vector<int64_t>;

// "[2, 16, 768]"
std::string ToString(absl::Span<const int64_t> shape);

// The C++ types of elements. Both bool and uint8_t stand for kBool; a byte must
// be 0 or 1, otherwise the server answers INVALID_ARGUMENT.
template <typename T>
concept Element = std::same_as<T, float> || std::same_as<T, BFloat16> || std::same_as<T, Float16> ||
    std::same_as<T, bool> || std::same_as<T, uint8_t>;

template <Element T>
constexpr DataType DataTypeOf() {
  if constexpr (std::same_as<T, float>) return DataType::kFloat32;
  if constexpr (std::same_as<T, BFloat16>) return DataType::kBFloat16;
  if constexpr (std::same_as<T, Float16>) return DataType::kFloat16;
  return DataType::kBool;
}

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_DATA_TYPE_H_
