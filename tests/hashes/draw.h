// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_HASHES_DRAW_H_
#define ATTEND_TESTS_HASHES_DRAW_H_

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/tensor/convert.h"
#include "core/tensor/tensor.h"
#include "tests/hashes/fnv.h"

namespace attend {

constexpr uint64_t kHashesSeed = 90125;

// The numbers of one case. They depend on its name and the seed alone, so a case keeps its hash
// when others are added or removed. The distributions of <random> differ between libraries;
// these do not.
class Draw {
 public:
  explicit Draw(absl::string_view name)
      : random_(static_cast<uint32_t>(Fnv(kHashesSeed).AddText(name).value())) {}

  // Draws a multiple of 2^-22 in [-2, 2).
  float Number() {
    const auto bits = static_cast<int32_t>(random_());
    return static_cast<float>(bits >> 8) * 0x1p-22f;
  }

  std::vector<float> Numbers(int64_t count, float scale) {
    std::vector<float> numbers(static_cast<size_t>(count));
    for (float& number : numbers) number = scale * Number();
    return numbers;
  }

  // Draws numbers, rounded to `type`.
  Tensor Floats(Shape shape, DataType type) {
    Tensor tensor(type, std::move(shape));
    const auto count = static_cast<int64_t>(tensor.byte_size() / ElementSize(type));
    const std::vector<float> numbers = Numbers(count, 1.0f);
    if (count > 0) ConvertFromFloat(numbers.data(), type, tensor.data(), count);
    return tensor;
  }

  // Draws booleans, three of four true.
  Tensor Bools(Shape shape) {
    Tensor tensor(DataType::kBool, std::move(shape));
    for (size_t i = 0; i < tensor.byte_size(); ++i) {
      tensor.data()[i] = std::byte{(random_() >> 30) != 0};
    }
    return tensor;
  }

 private:
  std::mt19937 random_;
};

}  // namespace attend

#endif  // ATTEND_TESTS_HASHES_DRAW_H_
