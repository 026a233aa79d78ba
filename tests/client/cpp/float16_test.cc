// SPDX-License-Identifier: Apache-2.0
#include "attend/float16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace attend::client {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(Float16Test, EveryBFloat16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = ToFloat(BFloat16{static_cast<uint16_t>(bits)});
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(ToFloat(ToBFloat16(value)))) << bits;
    } else {
      EXPECT_EQ(ToBFloat16(value).bits, bits);
    }
  }
}

TEST(Float16Test, EveryFloat16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = ToFloat(Float16{static_cast<uint16_t>(bits)});
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(ToFloat(ToFloat16(value)))) << bits;
    } else {
      EXPECT_EQ(ToFloat16(value).bits, bits);
    }
  }
}

TEST(Float16Test, KnownFloat16Values) {
  EXPECT_EQ(ToFloat(Float16{0x3c00}), 1.0f);
  EXPECT_EQ(ToFloat(Float16{0xc000}), -2.0f);
  EXPECT_EQ(ToFloat(Float16{0x7bff}), 65504.0f);
  EXPECT_EQ(ToFloat(Float16{0x0001}), 0x1p-24f);
  EXPECT_EQ(ToFloat(Float16{0x0400}), 0x1p-14f);
  EXPECT_EQ(ToFloat(Float16{0x7c00}), kInf);
}

TEST(Float16Test, RoundsToNearestTiesToEven) {
  EXPECT_EQ(ToFloat16(1.0f + 0x1p-11f).bits, 0x3c00);             // tie, even below
  EXPECT_EQ(ToFloat16(1.0f + 3 * 0x1p-11f).bits, 0x3c02);         // tie, even above
  EXPECT_EQ(ToFloat16(1.0f + 0x1p-11f + 0x1p-20f).bits, 0x3c01);  // above the tie
  EXPECT_EQ(ToFloat16(0x1p-25f).bits, 0);                         // tie with zero
  EXPECT_EQ(ToFloat16(0x1.8p-25f).bits, 1);
  EXPECT_EQ(ToBFloat16(1.0f + 0x1p-8f).bits, 0x3f80);
  EXPECT_EQ(ToBFloat16(1.0f + 3 * 0x1p-8f).bits, 0x3f82);
}

TEST(Float16Test, TooLargeBecomesInfinite) {
  EXPECT_EQ(ToFloat16(65519.0f).bits, 0x7bff);
  EXPECT_EQ(ToFloat16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(ToFloat16(-1e10f).bits, 0xfc00);
  EXPECT_EQ(ToFloat(ToBFloat16(std::numeric_limits<float>::max())), kInf);
}

TEST(Float16Test, ConvertsArrays) {
  const std::vector<float> from = {0.0f, -1.5f, 3.25f};
  std::vector<Float16> half(3);
  std::vector<BFloat16> bf16(3);
  std::vector<float> back(3);
  Convert(from, absl::MakeSpan(half));
  Convert(half, absl::MakeSpan(back));
  EXPECT_EQ(back, from);
  Convert(from, absl::MakeSpan(bf16));
  Convert(bf16, absl::MakeSpan(back));
  EXPECT_EQ(back, from);
}

}  // namespace
}  // namespace attend::client
