// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/linear.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/linalg/onednn_linear.h"
#include "core/linalg/panel_linear.h"
#include "gtest/gtest.h"
#include "tests/core/linalg/linear_case.h"

namespace attend {
namespace {

// Both implementations, whichever this CPU would choose.
class EachLinear : public testing::TestWithParam<bool> {
 protected:
  static std::unique_ptr<const Linear> Make(const Case& c) {
    if (!GetParam()) {
      return std::make_unique<const internal::PanelLinear>(c.config, c.weight, c.bias);
    }
    auto made = internal::OneDnnLinear::Create(c.config, c.weight, c.bias);
    EXPECT_TRUE(made.ok()) << made.status();
    return std::move(made).value();
  }
};

INSTANTIATE_TEST_SUITE_P(Linear, EachLinear, testing::Bool(), [](const auto& which) {
  return std::string(which.param ? "OneDnn" : "Panels");
});

TEST_P(EachLinear, IsTheProductPlusBias) {
  for (const auto& [inputs, outputs] :
       {std::pair<int64_t, int64_t>{1, 1}, {64, 64}, {37, 300}, {768, 65}, {5, 1000}}) {
    for (const int64_t rows : {1, 5, 16, 63, 64, 65, 130}) {
      for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
        if (!Supported(type)) continue;
        for (const DataType output : {DataType::kFloat32, type}) {
          const Case c(rows, inputs, outputs, type, output, rows % 2 == 1);
          c.ExpectIsTheProduct(c.Run(*Make(c)));
        }
      }
    }
  }
}

// Sizes around those of vectors, panels, column blocks, depth blocks and register blocks.
TEST_P(EachLinear, IsTheProductAtEverySizeAroundAnEdge) {
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    if (!Supported(type)) continue;
    for (const int64_t inputs : {1, 2, 3, 7, 383, 384, 385, 769, 1100}) {
      for (const int64_t outputs : {1, 2, 15, 16, 17, 33, 63, 64, 65, 129}) {
        const Case c(14, inputs, outputs, type, type, outputs % 2 == 1);
        const auto linear = Make(c);
        for (const int64_t rows : {1, 2, 3, 4, 6, 7, 12, 13, 14}) {
          const Case part = c.Part(14 - rows, rows);
          part.ExpectIsTheProduct(part.Run(*linear));
        }
      }
    }
    for (const int64_t rows : {95, 96, 97, 192, 193}) {
      const Case c(rows, 41, 70, type, type, true);
      c.ExpectIsTheProduct(c.Run(*Make(c)));
    }
  }
}

// A row's bits depend on neither the other rows nor its place.
TEST_P(EachLinear, GivesARowTheSameBitsAmongAnyRows) {
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    if (!Supported(type)) continue;
    for (const auto& [inputs, outputs] :
         {std::pair<int64_t, int64_t>{768, 768}, {37, 64}, {1024, 96}, {4096, 64}}) {
      const Case all(200, inputs, outputs, type, type, true);
      const auto linear = Make(all);
      const std::vector<float> expected = all.Run(*linear);
      for (const int64_t rows : {1, 2, 4, 7, 16, 31, 32, 40, 64, 100, 129}) {
        for (const int64_t first : {0, 1, 17, 71}) {
          const std::vector<float> y = all.Part(first, rows).Run(*linear);
          ASSERT_EQ(
              std::memcmp(y.data(), expected.data() + first * outputs, y.size() * sizeof(float)), 0)
              << rows << " rows from " << first << ", " << inputs << " inputs";
        }
      }
    }
  }
}

TEST_P(EachLinear, GivesARowTheSameBitsAloneAndAmongOneToThreeHundred) {
  constexpr int64_t kRows = 300;
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    if (!Supported(type)) continue;
    const Case all(kRows, 389, 72, type, DataType::kFloat32, true);
    const auto linear = Make(all);
    const size_t bytes = all.config.outputs * sizeof(float);
    std::vector<float> expected;
    for (int64_t row = 0; row < kRows; ++row) {
      const std::vector<float> alone = all.Part(row, 1).Run(*linear, 1);
      expected.insert(expected.end(), alone.begin(), alone.end());
    }
    for (int64_t rows = 1; rows <= kRows; ++rows) {
      const int64_t first = (rows * 7) % (kRows - rows + 1);
      const std::vector<float> y = all.Part(first, rows).Run(*linear, 1);
      for (int64_t r = 0; r < rows; ++r) {
        ASSERT_EQ(std::memcmp(y.data() + r * all.config.outputs,
                              expected.data() + (first + r) * all.config.outputs, bytes),
                  0)
            << "row " << r << " of " << rows;
      }
    }
  }
}

// The naive sum: one float32 sum, term after term.
TEST_P(EachLinear, ErrsAtMostTwiceAsMuchAsANaiveSum) {
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    if (!Supported(type)) continue;
    for (const int64_t inputs : {64, 768, 4096}) {
      const Case c(40, inputs, 80, type, DataType::kFloat32, true);
      const std::vector<float> y = c.Run(*Make(c));
      double ours = 0.0, naive = 0.0;
      for (int64_t r = 0; r < c.rows; ++r) {
        for (int64_t o = 0; o < c.config.outputs; ++o) {
          float sum = 0.0f;
          for (int64_t i = 0; i < inputs; ++i)
            sum += c.x[r * inputs + i] * c.weight[o * inputs + i];
          const double exact = c.Exact(r, o).first;
          ours += std::pow(y[r * c.config.outputs + o] - exact, 2);
          naive += std::pow(static_cast<double>(sum + c.bias[o]) - exact, 2);
        }
      }
      EXPECT_LE(std::sqrt(ours), 2 * std::sqrt(naive)) << inputs << " inputs";
      RecordProperty("ours_over_naive", std::to_string(std::sqrt(ours / naive)));
    }
  }
}

TEST_P(EachLinear, KeepsNanToItsRow) {
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    if (!Supported(type)) continue;
    for (const int64_t inputs : {5, 64}) {
      Case c(9, inputs, 20, type, type, true);
      for (int64_t i = 0; i < inputs; ++i) {
        c.x[4 * inputs + i] = std::numeric_limits<float>::quiet_NaN();
      }
      const std::vector<float> y = c.Run(*Make(c));
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(std::isnan(y[i]), i / 20 == 4) << "row " << i / 20 << ", " << inputs << " inputs";
      }
    }
  }
}

TEST_P(EachLinear, HasNoWorkOnNoRows) {
  const Case c(1, 64, 64, DataType::kFloat32, DataType::kFloat32, false);
  EXPECT_EQ(Make(c)->NumTasks(0), 0);
}

// Rows lie anywhere in memory, in any order, and outputs have either type: the sums are those of
// contiguous rows, rounded if bfloat16 is requested, and nothing is written outside of the rows.
TEST_P(EachLinear, TakesAndGivesRowsWhereTheyLie) {
  constexpr int64_t kOutputs = 300;
  constexpr std::byte kGuard{0x5a};
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    if (!Supported(type)) continue;
    for (const auto& [inputs, rows] : {std::pair<int64_t, int64_t>{64, 131}, {67, 64}, {385, 3}}) {
      const Case c(rows, inputs, kOutputs, type, DataType::kFloat32, true);
      const auto linear = Make(c);
      const std::vector<float> expected = c.Run(*linear);
      const std::vector<std::byte> in = c.StoreX();
      for (const DataType output : {DataType::kFloat32, DataType::kBFloat16}) {
        const size_t x_bytes = inputs * ElementSize(type), y_bytes = kOutputs * ElementSize(output);
        std::vector<std::vector<std::byte>> x, y;
        std::vector<const std::byte*> x_rows;
        std::vector<std::byte*> y_rows;
        for (int64_t r = 0; r < rows; ++r) {
          x.emplace_back(in.begin() + r * x_bytes, in.begin() + (r + 1) * x_bytes);
          y.emplace_back(y_bytes + 16, kGuard);
          x_rows.push_back(x[r].data());
          y_rows.push_back(y[r].data() + 8);
        }
        Case::RunTasks(*linear, x_rows, y_rows, output, 1);
        for (int64_t r = 0; r < rows; ++r) {
          std::vector<std::byte> row(y_bytes + 16, kGuard);
          ConvertFromFloat(expected.data() + r * kOutputs, output, row.data() + 8, kOutputs);
          ASSERT_EQ(row, y[r]) << "row " << r << " to " << Name(output) << ", " << inputs
                               << " inputs";
        }
      }
    }
  }
}

// A last block of rows may be larger than the rows left, but writes no row beyond them.
TEST_P(EachLinear, WritesNoRowBeyondTheLast) {
  constexpr int64_t kOutputs = 96, kMostRows = 70;
  const Case all(kMostRows, 48, kOutputs, DataType::kFloat32, DataType::kFloat32, true);
  const auto linear = Make(all);
  for (int64_t rows = 1; rows < kMostRows; ++rows) {
    std::vector<float> y(kMostRows * kOutputs, 7.0f);
    std::vector<const std::byte*> x_rows;
    std::vector<std::byte*> y_rows;
    for (int64_t r = 0; r < rows; ++r) {
      x_rows.push_back(reinterpret_cast<const std::byte*>(all.x.data() + r * 48));
      y_rows.push_back(reinterpret_cast<std::byte*>(y.data() + r * kOutputs));
    }
    Case::RunTasks(*linear, x_rows, y_rows, DataType::kFloat32, 1);
    for (size_t i = rows * kOutputs; i < y.size(); ++i) ASSERT_EQ(y[i], 7.0f) << rows << " rows";
  }
}

}  // namespace
}  // namespace attend
