// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/panel_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/linalg/panel_prefetch.h"
#include "core/simd/cpu.h"
#include "gtest/gtest.h"

namespace attend::internal {
namespace {

constexpr int64_t kOutputs = 50;

// Rows and weights of float32, in panels.
struct Operands {
  int64_t rows, words;
  std::vector<float> x;       // [rows, words]
  std::vector<float> weight;  // [kOutputs, words]
  AlignedBuffer panels, bias;

  Operands(int64_t rows_, int64_t words_)
      : rows(rows_),
        words(words_),
        x(rows * words),
        weight(kOutputs * words),
        panels(kColumnBlock * words * sizeof(float)),
        bias(kColumnBlock * sizeof(float)) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    for (float& value : x) value = normal(random);
    for (float& value : weight) value = normal(random);
    std::memset(panels.data(), 0, panels.size());
    std::memset(bias.data(), 0, bias.size());
    const int64_t width = PanelWidth();
    for (int64_t o = 0; o < kOutputs; ++o) {
      bias.as<float>()[o] = normal(random);
      for (int64_t w = 0; w < words; ++w) {
        panels.as<float>()[o / width * width * words + w * width + o % width] =
            weight[o * words + w];
      }
    }
  }

  std::vector<float> Run(int64_t sum_words, PrefetchPolicy prefetch = {}) const {
    std::vector<float> y(rows * kOutputs);
    std::vector<const std::byte*> x_rows;
    std::vector<std::byte*> y_rows;
    for (int64_t r = 0; r < rows; ++r) {
      x_rows.push_back(reinterpret_cast<const std::byte*>(x.data() + r * words));
      y_rows.push_back(reinterpret_cast<std::byte*>(y.data() + r * kOutputs));
    }
    PanelProduct product;
    product.rows = rows;
    product.words = words;
    product.x = x_rows.data();
    product.y = y_rows.data();
    product.sum_words = sum_words;
    product.outputs = kOutputs;
    product.weights = panels.as<float>();
    product.bias = bias.as<float>();
    product.prefetch = prefetch;
    RunPanelProduct(product);
    return y;
  }

  // One output as PanelProduct defines its order of sums, with one rounding per
  // multiply-add where the CPU has an instruction for it.
  float Sum(int64_t row, int64_t output, int64_t sum_words) const {
    float total = 0.0f;
    for (int64_t begin = 0; begin < words; begin += sum_words) {
      float sum = 0.0f;
      for (int64_t w = begin; w < std::min(words, begin + sum_words); ++w) {
        const float a = x[row * words + w], b = weight[output * words + w];
        sum = GetCpuFeatures().avx2 ? std::fma(a, b, sum) : a * b + sum;
      }
      total = begin == 0 ? sum : total + sum;
    }
    return total + bias.as<float>()[output];
  }
};

TEST(PanelKernel, SumsInTheOrderAskedFor) {
  for (const int64_t rows : {1, 5, 12, 13, 40, 96}) {
    for (const int64_t words : {1, 7, 512, 513, 1100, 2500}) {
      const Operands operands(rows, words);
      for (const int64_t sum_words : {int64_t{0}, int64_t{3}, int64_t{512}, int64_t{1024}}) {
        const std::vector<float> y = operands.Run(sum_words);
        for (int64_t r = 0; r < rows; r += 3) {
          for (int64_t o = 0; o < kOutputs; ++o) {
            const float expected = operands.Sum(r, o, sum_words == 0 ? words : sum_words);
            ASSERT_EQ(y[r * kOutputs + o], expected)
                << "row " << r << " of " << rows << ", output " << o << ", " << words
                << " words in sums of " << sum_words;
          }
        }
      }
    }
  }
}

TEST(PanelKernel, GivesTheSameBitsWhateverItPrefetches) {
  for (const int64_t rows : {1, 4, 7, 12, 13}) {
    const Operands operands(rows, 600);
    const std::vector<float> expected = operands.Run(0);
    for (const PrefetchPolicy& policy : PanelPrefetchCandidates()) {
      EXPECT_EQ(operands.Run(0, policy), expected) << rows << " rows, " << ToString(policy);
    }
  }
}

TEST(GetPanelPrefetch, TakesACandidateOnce) {
  const absl::Span<const PrefetchPolicy> candidates = PanelPrefetchCandidates();
  EXPECT_EQ(std::count(candidates.begin(), candidates.end(), GetPanelPrefetch()), 1);
  EXPECT_EQ(&GetPanelPrefetch(), &GetPanelPrefetch());
}

}  // namespace
}  // namespace attend::internal
