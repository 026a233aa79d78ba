#include "core/linalg/linear.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>
#include <vector>

#include "core/base/cpu.h"
#include "core/base/worker_pool.h"
#include "core/tensor/convert.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

constexpr uint32_t kSeed = 11;

std::vector<float> Normal(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// A layer of numbers that its input type holds, and its results.
struct Case {
  LinearConfig config;
  std::vector<float> weight, bias, x;
  int64_t rows;

  Case(int64_t rows_, int64_t inputs, int64_t outputs, DataType input, DataType output,
       bool with_bias)
      : config{inputs, outputs, input, output}, rows(rows_) {
    weight = Rounded(Normal(inputs * outputs, kSeed));
    if (with_bias) bias = Normal(outputs, kSeed + 1);
    x = Rounded(Normal(rows * inputs, kSeed + 2));
  }

  std::vector<float> Rounded(std::vector<float> values) const {
    if (config.input_type == DataType::kFloat32) return values;
    for (float& value : values) value = BFloat16ToFloat(FloatToBFloat16(value));
    return values;
  }

  // [rows, outputs] widened, each task on a pool's thread.
  std::vector<float> Run(const Linear& linear, int workers = 2) const {
    const int64_t padded = linear.PaddedRows(rows);
    std::vector<float> all = x;
    all.resize(padded * config.inputs, 0.0f);
    std::vector<std::byte> in(all.size() * ElementSize(config.input_type));
    ConvertFromFloat(all.data(), config.input_type, in.data(), static_cast<int64_t>(all.size()));
    std::vector<std::byte> out(padded * config.outputs * ElementSize(config.output_type));
    WorkerPool pool(workers);
    pool.ParallelFor(linear.NumTasks(rows),
                     [&](int64_t task, int) { linear.RunTask(task, rows, in.data(), out.data()); });
    std::vector<float> y(rows * config.outputs);
    ConvertToFloat(config.output_type, out.data(), y.data(), static_cast<int64_t>(y.size()));
    return y;
  }

  void ExpectIsTheProduct(const std::vector<float>& y) const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = 0; o < config.outputs; ++o) {
        double sum = bias.empty() ? 0.0 : bias[o], magnitude = std::fabs(sum);
        for (int64_t i = 0; i < config.inputs; ++i) {
          const double product =
              static_cast<double>(x[r * config.inputs + i]) * weight[o * config.inputs + i];
          sum += product;
          magnitude += std::fabs(product);
        }
        // n roundings of float32 sums bounded by the sum of magnitudes (Higham,
        // "Accuracy and Stability", 3.1), then one to the output's type.
        double bound = magnitude * static_cast<double>(config.inputs + 2) * 0x1p-24;
        if (config.output_type == DataType::kBFloat16) bound += std::fabs(sum) * 0x1p-8;
        ASSERT_NEAR(y[r * config.outputs + o], sum, bound) << "row " << r << " output " << o;
      }
    }
  }
};

bool Supported(DataType type) {
  return type == DataType::kFloat32 || GetCpuFeatures().avx512;
}

TEST(Linear, IsTheProductPlusBias) {
  for (const auto& [inputs, outputs] :
       {std::pair<int64_t, int64_t>{1, 1}, {64, 64}, {37, 300}, {768, 65}, {5, 1000}}) {
    for (const int64_t rows : {1, 5, 16, 63, 64, 65, 130}) {
      for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
        if (!Supported(type)) continue;
        for (const DataType output : {DataType::kFloat32, type}) {
          const Case c(rows, inputs, outputs, type, output, rows % 2 == 1);
          const auto linear = Linear::Create(c.config, c.weight, c.bias);
          ASSERT_TRUE(linear.ok()) << linear.status();
          c.ExpectIsTheProduct(c.Run(**linear));
        }
      }
    }
  }
}

// Its whole point: a row's bits depend on neither the other rows nor its place.
TEST(Linear, GivesARowTheSameBitsAmongAnyRows) {
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    if (!Supported(type)) continue;
    for (const auto& [inputs, outputs] :
         {std::pair<int64_t, int64_t>{768, 768}, {37, 64}, {1024, 96}, {4096, 64}}) {
      const Case all(200, inputs, outputs, type, type, true);
      const auto linear = Linear::Create(all.config, all.weight, all.bias);
      ASSERT_TRUE(linear.ok()) << linear.status();
      const std::vector<float> expected = all.Run(**linear);
      for (const int64_t rows : {1, 2, 4, 7, 16, 31, 32, 40, 64, 100, 129}) {
        for (const int64_t first : {0, 1, 17, 71}) {
          Case part = all;
          part.rows = rows;
          part.x.assign(all.x.begin() + first * inputs, all.x.begin() + (first + rows) * inputs);
          const std::vector<float> y = part.Run(**linear);
          ASSERT_EQ(
              std::memcmp(y.data(), expected.data() + first * outputs, y.size() * sizeof(float)), 0)
              << rows << " rows from " << first << ", " << inputs << " inputs";
        }
      }
    }
  }
}

TEST(Linear, AlwaysHasTheFullBlock) {
  const Case c(1, 64, 64, DataType::kFloat32, DataType::kFloat32, false);
  const auto linear = Linear::Create(c.config, c.weight, c.bias);
  ASSERT_TRUE(linear.ok());
  ASSERT_FALSE((*linear)->block_sizes().empty());
  EXPECT_EQ((*linear)->block_sizes().front(), 64);
  EXPECT_EQ((*linear)->PaddedRows(0), 0);
  EXPECT_EQ((*linear)->NumTasks(0), 0);
  EXPECT_EQ((*linear)->PaddedRows(64), 64);
  EXPECT_EQ((*linear)->PaddedRows(128), 128);
  for (const int64_t size : (*linear)->block_sizes()) RecordProperty("block", size);
}

// Symptom: requests of 16 rows took 10 ms, in OpenMP's barrier. The first test of
// the program, so that threads of others are not counted.
TEST(ALinear, StartsNoThreads) {
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  const auto before = threads();
  std::thread([&] {  // a thread on which OpenMP has not been told anything
    const Case c(16, 768, 768, DataType::kFloat32, DataType::kFloat32, true);
    const auto linear = Linear::Create(c.config, c.weight, c.bias);
    ASSERT_TRUE(linear.ok()) << linear.status();
    c.Run(**linear, 1);
    EXPECT_EQ(threads(), before + 1);  // this one
  })
      .join();
}

TEST(Linear, RefusesBFloat16WithoutAvx512) {
  if (GetCpuFeatures().avx512) GTEST_SKIP() << "this CPU has it";
  const Case c(1, 8, 8, DataType::kBFloat16, DataType::kFloat32, false);
  EXPECT_EQ(Linear::Create(c.config, c.weight, c.bias).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace attend
