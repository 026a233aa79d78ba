// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/convert.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace attend {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

uint32_t Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// Rounding to nearest even by its definition: of the two neighbours in the type,
// the nearer one, and of two equally near the one whose last bit is 0.
uint16_t Nearest(float value, float (*widen)(uint16_t), uint16_t infinity) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  uint16_t low = 0, high = infinity;  // widen is monotone: halve the interval
  while (high - low > 1) {
    const uint16_t middle = static_cast<uint16_t>((low + high) / 2);
    (widen(middle) <= magnitude ? low : high) = middle;
  }
  if (std::isinf(magnitude)) return sign | infinity;
  // Infinity stands where the next finite number would.
  const double below = widen(low);
  const double above =
      high == infinity ? 2 * below - widen(static_cast<uint16_t>(low - 1)) : widen(high);
  const double down = magnitude - below, up = above - magnitude;
  const bool take_low = down < up || (down == up && low % 2 == 0);
  return static_cast<uint16_t>(sign | (take_low ? low : high));
}

// Numbers at, beside and between representable ones, of every exponent.
std::vector<float> Interesting() {
  std::vector<float> values = {0.0f, -0.0f, kInfinity, -kInfinity, 65504.0f, 65519.99f, 65520.0f};
  uint32_t state = 1;
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (const uint32_t low : {0u, 1u, 0x0fffu, 0x1000u, 0x1001u, 0x3000u, 0x7fffu, 0x8000u,
                               0x8001u, 0x18000u, 0x7fffffu}) {
      state = state * 1664525u + 1013904223u;
      for (const uint32_t bits : {(exponent << 23) | low, (exponent << 23) | (state >> 9)}) {
        float value;
        std::memcpy(&value, &bits, sizeof(value));
        values.push_back(value);
        values.push_back(-value);
      }
    }
  }
  return values;
}

TEST(Convert, WidensEveryHalfExactlyAndBack) {
  for (uint32_t i = 0; i < 0x10000; ++i) {
    const uint16_t half = static_cast<uint16_t>(i);
    const float wide = Float16ToFloat(half);
    const int exponent = (half >> 10) & 31;
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(wide), (half & 0x3ff) != 0);
      if (std::isnan(wide)) {
        EXPECT_TRUE(std::isnan(Float16ToFloat(FloatToFloat16(wide))));
        continue;
      }
    } else {
      const double fraction = (exponent == 0 ? 0.0 : 1024.0) + (half & 0x3ff);
      const double value = std::ldexp(fraction, std::max(exponent, 1) - 25);
      ASSERT_EQ(std::fabs(wide), value) << half;
    }
    ASSERT_EQ(FloatToFloat16(wide), half);
    const float brain = BFloat16ToFloat(half);
    ASSERT_EQ(Bits(brain), i << 16);
    ASSERT_TRUE(std::isnan(brain) || FloatToBFloat16(brain) == half) << half;
  }
}

TEST(Convert, RoundsToNearestEven) {
  for (const float value : Interesting()) {
    ASSERT_EQ(FloatToFloat16(value), Nearest(value, Float16ToFloat, 0x7c00)) << value;
    ASSERT_EQ(FloatToBFloat16(value), Nearest(value, BFloat16ToFloat, 0x7f80)) << value;
  }
}

TEST(Convert, KeepsNaN) {
  for (const uint32_t bits : {0x7fc00000u, 0x7f800001u, 0x7fffffffu, 0xffffffffu, 0xff800001u}) {
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    EXPECT_TRUE(std::isnan(BFloat16ToFloat(FloatToBFloat16(value)))) << std::hex << bits;
    EXPECT_TRUE(std::isnan(Float16ToFloat(FloatToFloat16(value)))) << std::hex << bits;
  }
}

// The vector paths compute the bits of the scalar functions, at any length and offset.
TEST(Convert, OfArraysIsThatOfElements) {
  std::vector<float> source = Interesting();
  source.push_back(kNaN);
  for (const DataType type : {DataType::kBFloat16, DataType::kFloat16}) {
    for (const size_t offset : {0, 1, 3}) {
      const size_t n = source.size() - offset;
      std::vector<uint16_t> half(n);
      ConvertFromFloat(source.data() + offset, type, reinterpret_cast<std::byte*>(half.data()),
                       static_cast<int64_t>(n));
      std::vector<float> wide(n);
      ConvertToFloat(type, reinterpret_cast<const std::byte*>(half.data()), wide.data(),
                     static_cast<int64_t>(n));
      for (size_t i = 0; i < n; ++i) {
        const float value = source[offset + i];
        const uint16_t expected =
            type == DataType::kBFloat16 ? FloatToBFloat16(value) : FloatToFloat16(value);
        ASSERT_TRUE(half[i] == expected || std::isnan(value)) << value;
        const float back = LoadFloat(type, reinterpret_cast<const std::byte*>(half.data()),
                                     static_cast<int64_t>(i));
        ASSERT_TRUE(Bits(back) == Bits(wide[i]) || (std::isnan(value) && std::isnan(wide[i])));
      }
    }
  }
}

TEST(Convert, BetweenHalfTypesGoesThroughFloat) {
  const std::vector<float> source(300, 1.0009765625f);  // the float16 after 1
  std::vector<uint16_t> half(300), brain(300), copy(300);
  const auto bytes = [](std::vector<uint16_t>& v) {
    return reinterpret_cast<std::byte*>(v.data());
  };
  ConvertFromFloat(source.data(), DataType::kFloat16, bytes(half), 300);
  ConvertFloats(DataType::kFloat16, bytes(half), DataType::kBFloat16, bytes(brain), 300);
  ConvertFloats(DataType::kFloat16, bytes(half), DataType::kFloat16, bytes(copy), 300);
  EXPECT_EQ(half, copy);
  EXPECT_EQ(half, std::vector<uint16_t>(300, 0x3c01));
  EXPECT_EQ(brain, std::vector<uint16_t>(300, 0x3f80));
  ConvertFloats(DataType::kFloat32, nullptr, DataType::kFloat32, nullptr, 0);
}

}  // namespace
}  // namespace attend
