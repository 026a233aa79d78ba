// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_LINALG_LINEAR_CASE_H_
#define ATTEND_TESTS_CORE_LINALG_LINEAR_CASE_H_

#include <cmath>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "core/exec/execution_context.h"
#include "core/linalg/linear.h"
#include "core/simd/cpu.h"
#include "core/tensor/convert.h"
#include "gtest/gtest.h"

namespace attend {

inline constexpr uint32_t kSeed = 11;

inline std::vector<float> Normal(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// A layer with numbers that its input type represents exactly, and its results.
struct Case {
  LinearConfig config;
  DataType output_type;
  std::vector<float> weight, bias, x;
  int64_t rows;

  Case(int64_t rows_, int64_t inputs, int64_t outputs, DataType input, DataType output,
       bool with_bias)
      : config{inputs, outputs, input}, output_type(output), rows(rows_) {
    weight = Rounded(Normal(inputs * outputs, kSeed));
    if (with_bias) bias = Normal(outputs, kSeed + 1);
    x = Rounded(Normal(rows * inputs, kSeed + 2));
  }

  std::vector<float> Rounded(std::vector<float> values) const {
    if (config.input_type == DataType::kFloat32) return values;
    for (float& value : values) value = BFloat16ToFloat(FloatToBFloat16(value));
    return values;
  }

  std::vector<std::byte> StoreX() const {
    std::vector<std::byte> stored(x.size() * ElementSize(config.input_type));
    ConvertFromFloat(x.data(), config.input_type, stored.data(), static_cast<int64_t>(x.size()));
    return stored;
  }

  // [rows, outputs] widened, each task on a pool's thread; rows follow each other in memory.
  std::vector<float> Run(const Linear& linear, int workers = 2) const {
    const std::vector<std::byte> in = StoreX();
    std::vector<std::byte> out(rows * config.outputs * ElementSize(output_type));
    std::vector<const std::byte*> x_rows;
    std::vector<std::byte*> y_rows;
    for (int64_t r = 0; r < rows; ++r) {
      x_rows.push_back(in.data() + r * config.inputs * ElementSize(config.input_type));
      y_rows.push_back(out.data() + r * config.outputs * ElementSize(output_type));
    }
    RunTasks(linear, x_rows, y_rows, output_type, workers);
    std::vector<float> y(rows * config.outputs);
    ConvertToFloat(output_type, out.data(), y.data(), static_cast<int64_t>(y.size()));
    return y;
  }

  static void RunTasks(const Linear& linear, const std::vector<const std::byte*>& x,
                       const std::vector<std::byte*>& y, DataType output_type, int workers) {
    const LinearBatch batch = {static_cast<int64_t>(x.size()), x.data(), y.data(), output_type};
    ExecutionContext context(workers);
    context.pool().ParallelFor(linear.NumTasks(batch.rows), [&](int64_t task, int worker) {
      linear.Run(task, batch, context.arena(worker));
    });
  }

  // The output in double, and the sum of the magnitudes of its terms.
  std::pair<double, double> Exact(int64_t r, int64_t o) const {
    double sum = bias.empty() ? 0.0 : bias[o], magnitude = std::fabs(sum);
    for (int64_t i = 0; i < config.inputs; ++i) {
      const double product =
          static_cast<double>(x[r * config.inputs + i]) * weight[o * config.inputs + i];
      sum += product;
      magnitude += std::fabs(product);
    }
    return {sum, magnitude};
  }

  void ExpectIsTheProduct(const std::vector<float>& y) const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = 0; o < config.outputs; ++o) {
        const auto [sum, magnitude] = Exact(r, o);
        // n roundings of float32 sums bounded by the sum of magnitudes (Higham,
        // "Accuracy and Stability", 3.1), then one to the output's type.
        double bound = magnitude * static_cast<double>(config.inputs + 2) * 0x1p-24;
        if (output_type == DataType::kBFloat16) bound += std::fabs(sum) * 0x1p-8;
        ASSERT_NEAR(y[r * config.outputs + o], sum, bound)
            << "row " << r << " of " << rows << " output " << o << " of " << config.outputs << ", "
            << config.inputs << " inputs";
      }
    }
  }

  // Rows [first, first + count) as a batch of their own.
  Case Part(int64_t first, int64_t count) const {
    Case part = *this;
    part.rows = count;
    part.x.assign(x.begin() + first * config.inputs, x.begin() + (first + count) * config.inputs);
    return part;
  }
};

inline bool Supported(DataType type) {
  return type == DataType::kFloat32 || GetCpuFeatures().avx512;
}

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_LINALG_LINEAR_CASE_H_
