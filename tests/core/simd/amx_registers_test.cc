// SPDX-License-Identifier: Apache-2.0

// The instructions against their model, bit for bit: results proven with the model then hold for
// them. Needs a machine (or an emulator, see tests/emulated) with AMX.

#include "core/simd/amx_registers.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/core/simd/amx_model.h"

namespace attend::internal {
namespace {

// Draws 16 rows that are `stride` bytes apart.
std::vector<uint16_t> RandomRows(std::mt19937& random, int64_t stride, bool any_bits) {
  std::vector<uint16_t> rows(16 * stride / 2);
  std::normal_distribution<float> normal;
  for (uint16_t& number : rows) {
    if (any_bits) {  // NaN, infinities and denormal numbers too
      number = static_cast<uint16_t>(random());
      if (random() % 2 == 0) number &= 0x80ffu;  // the smallest
    } else {
      const float value = normal(random);
      uint32_t bits;
      std::memcpy(&bits, &value, sizeof(bits));
      number = static_cast<uint16_t>(bits >> 16);
    }
  }
  return rows;
}

template <class Tiles>
std::vector<float> Multiply(const std::vector<uint16_t>& a, const std::vector<uint16_t>& b,
                            int64_t stride, const std::vector<float>& sums) {
  std::vector<float> result(16 * 32, 7.0f);  // rows 32 floats apart
  const Tiles tiles;
  Tiles::template Load<3>(sums.data(), 64);
  Tiles::template Load<4>(a.data(), stride);
  Tiles::template Load<7>(b.data(), stride);
  Tiles::template MulAdd<3, 4, 7>();
  Tiles::template MulAdd<3, 4, 7>();
  Tiles::template Store<3>(result.data(), 128);
  Tiles::template Zero<3>();
  Tiles::template Store<3>(result.data() + 16, 128);
  return result;
}

TEST(AmxRegisters, GiveTheBitsOfTheModel) {
  if (!AmxRegisters::Available()) GTEST_SKIP() << "this machine has no AMX";
#if defined(__x86_64__)
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const bool any_bits = round % 2 == 1;
    const int64_t stride = std::vector<int64_t>{64, 66, 128, 4096}[random() % 4];
    const std::vector<uint16_t> a = RandomRows(random, stride, any_bits);
    const std::vector<uint16_t> b = RandomRows(random, stride, any_bits);
    const std::vector<uint16_t> c = RandomRows(random, 64, any_bits);
    std::vector<float> sums(256);
    std::memcpy(sums.data(), c.data(), sums.size() * 2);
    std::memcpy(sums.data() + 128, c.data(), sums.size() * 2);
    const std::vector<float> got = Multiply<AmxRegisters>(a, b, stride, sums);
    const std::vector<float> want = Multiply<AmxModel>(a, b, stride, sums);
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(std::isnan(got[i]), std::isnan(want[i])) << "round " << round << " at " << i;
      if (std::isnan(want[i])) continue;
      ASSERT_EQ(std::memcmp(&got[i], &want[i], 4), 0)
          << "round " << round << " at " << i << ": " << got[i] << ", the model says " << want[i];
    }
  }
#endif
}

}  // namespace
}  // namespace attend::internal
