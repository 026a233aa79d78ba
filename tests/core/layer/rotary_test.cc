// SPDX-License-Identifier: Apache-2.0
#include "core/layer/rotary.h"

#include <cmath>

#include "gtest/gtest.h"

namespace attend::internal {
namespace {

constexpr int64_t kPositions[] = {0,       1,     31,     32,      33,   63,
                                  8191,    -1,    -32,    -33,     -500, 131071,
                                  1000003, 65536, -65536, 1 << 24, 7,    (1 << 24) + 1};

RotaryConfig Config(int64_t width, double theta, RotaryConfig::Scaling scaling) {
  RotaryConfig config;
  config.width = width;
  config.theta = theta;
  config.scaling = scaling;
  config.factor = scaling == RotaryConfig::Scaling::kNone ? 1.0 : 8.0;
  config.original_max_position = 1024;
  return config;
}

// theta^(-2m / R) and its scalings, from their definitions in long double.
long double Frequency(const RotaryConfig& c, int64_t m) {
  const long double pi = std::acos(-1.0L);
  const long double f =
      std::exp(-2.0L * static_cast<long double>(m) / static_cast<long double>(c.width) *
               std::log(static_cast<long double>(c.theta)));
  if (c.scaling == RotaryConfig::Scaling::kNone) return f;
  if (c.scaling == RotaryConfig::Scaling::kLinear) return f / c.factor;
  const long double u = static_cast<long double>(c.original_max_position) * f / (2 * pi);
  if (u <= c.low_frequency_factor) return f / c.factor;
  if (u >= c.high_frequency_factor) return f;
  const long double t =
      (u - c.low_frequency_factor) / (c.high_frequency_factor - c.low_frequency_factor);
  return f * (t + (1 - t) / c.factor);
}

TEST(RotaryAngles, GivesCosineAndSineOfPositionTimesFrequency) {
  for (const auto scaling : {RotaryConfig::Scaling::kNone, RotaryConfig::Scaling::kLinear,
                             RotaryConfig::Scaling::kLlama3}) {
    for (const int64_t width : {2, 10, 64, 128}) {
      const RotaryConfig config = Config(width, width == 10 ? 500000.0 : 10000.0, scaling);
      const RotaryAngles angles(config);
      ASSERT_EQ(angles.pairs(), width / 2);
      std::vector<float> cos(width / 2), sin(width / 2);
      std::vector<double> block_cos(width / 2), block_sin(width / 2);
      RotaryAngles::Block block = {0, block_cos.data(), block_sin.data()};
      for (const int64_t position : kPositions) {
        angles.Enter(position, block);
        angles.At(block, position, cos.data(), sin.data());
        for (int64_t m = 0; m < width / 2; ++m) {
          const long double angle = static_cast<long double>(position) * Frequency(config, m);
          // One rounding to float32, and a few of the angle in double.
          const double bound = 0x1p-24 + 8 * std::fabs(static_cast<double>(angle)) * 0x1p-53;
          EXPECT_NEAR(cos[m], static_cast<double>(std::cos(angle)), bound)
              << "width " << width << ", position " << position << ", pair " << m;
          EXPECT_NEAR(sin[m], static_cast<double>(std::sin(angle)), bound)
              << "width " << width << ", position " << position << ", pair " << m;
        }
      }
    }
  }
}

// The angle of position 1 is the frequency.
std::vector<double> Frequencies(const RotaryAngles& angles) {
  const auto pairs = static_cast<size_t>(angles.pairs());
  std::vector<double> block_cos(pairs), block_sin(pairs);
  RotaryAngles::Block block = {0, block_cos.data(), block_sin.data()};
  std::vector<float> cos(pairs), sin(pairs);
  angles.Enter(1, block);
  angles.At(block, 1, cos.data(), sin.data());
  return {sin.begin(), sin.end()};
}

TEST(RotaryAngles, SplitsTheFrequenciesOfLlama3InThreeRanges) {
  const RotaryConfig config = Config(64, 10000.0, RotaryConfig::Scaling::kLlama3);
  const std::vector<double> scaled = Frequencies(RotaryAngles(config));
  const std::vector<double> plain =
      Frequencies(RotaryAngles(Config(64, 10000.0, RotaryConfig::Scaling::kNone)));
  int kept = 0, divided = 0;
  for (size_t m = 0; m < 32; ++m) {
    const double share = std::asin(scaled[m]) / std::asin(plain[m]);
    if (std::fabs(share - 1.0) < 1e-6) ++kept;
    if (std::fabs(share * config.factor - 1.0) < 1e-6) ++divided;
    EXPECT_TRUE(share <= 1.0 + 1e-6 && share >= (1.0 - 1e-6) / config.factor) << share;
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(divided, 0);
  EXPECT_LT(kept + divided, 32);
}

}  // namespace
}  // namespace attend::internal
