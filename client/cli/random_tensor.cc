// SPDX-License-Identifier: Apache-2.0
#include "client/cli/random_tensor.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace attend::cli {

absl::StatusOr<client::Shape> ParseShape(absl::string_view text) {
  constexpr int64_t kMaxElements = int64_t{1} << 31;
  client::Shape shape;
  int64_t elements = 1;
  for (const absl::string_view part : absl::StrSplit(text, 'x')) {
    int64_t size = 0;
    if (!absl::SimpleAtoi(part, &size) || size < 0 ||
        __builtin_mul_overflow(elements, size, &elements) || elements > kMaxElements) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is not a shape such as 1x16x768"));
    }
    shape.push_back(size);
  }
  return shape;
}

Tensor RandomTensor(const client::Shape& shape, uint64_t seed) {
  void* data;
  Tensor tensor = NewTensor(DataType::kFloat32, shape, &data);
  auto* values = static_cast<float*>(data);
  for (size_t i = 0; i < tensor.num_elements(); ++i) {
    // The mixer of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
    // number generators", 2014) on a counter: cheap and without state.
    uint64_t bits = seed * 0x9e3779b97f4a7c15u + (i + 1) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    bits ^= bits >> 31;
    values[i] = static_cast<float>(bits >> 40) * 0x1p-23f - 1.0f;
  }
  return tensor;
}

}  // namespace attend::cli
