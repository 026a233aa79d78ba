// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/linear_engine.h"

#include <vector>

#include "core/linalg/create_linear.h"
#include "core/linalg/onednn_linear.h"
#include "core/linalg/panel_linear.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

constexpr LinearEngine kOneDnn = LinearEngine::kOneDnn;
constexpr LinearEngine kPanels = LinearEngine::kPanels;

// The table of docs/decisions/0009, one row per kind of CPU.
TEST(ChooseLinearEngine, FollowsTheTableOfTheDecision) {
  struct Row {
    const char* cpu;
    CpuFeatures features;
    LinearEngine float32, bfloat16;
  };
  CpuFeatures avx2, avx512, bf16, amx;
  avx2.avx2 = true;
  avx512 = avx2;
  avx512.avx512 = true;
  bf16 = avx512;
  bf16.avx512_bf16 = true;
  amx = bf16;
  amx.amx_bf16 = true;
  for (const Row& row : std::vector<Row>{{"below AVX2", CpuFeatures(), kOneDnn, kPanels},
                                         {"AVX2", avx2, kPanels, kPanels},
                                         {"AVX-512", avx512, kOneDnn, kPanels},
                                         {"AVX-512 with BF16", bf16, kOneDnn, kOneDnn},
                                         {"AMX", amx, kOneDnn, kOneDnn}}) {
    const auto choose = [&](DataType type, MatmulChoice choice) {
      return ChooseLinearEngine(type, row.features, choice);
    };
    EXPECT_EQ(choose(DataType::kFloat32, MatmulChoice::kAuto), row.float32) << row.cpu;
    EXPECT_EQ(choose(DataType::kBFloat16, MatmulChoice::kAuto), row.bfloat16) << row.cpu;
    for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
      EXPECT_EQ(choose(type, MatmulChoice::kOneDnn), kOneDnn) << row.cpu;
      EXPECT_EQ(choose(type, MatmulChoice::kPanels), kPanels) << row.cpu;
    }
  }
}

TEST(LinearCreate, TakesTheEngineThatWasChosen) {
  const std::vector<float> weight(64, 1.0f);
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    if (type == DataType::kBFloat16 && !GetCpuFeatures().avx512) continue;
    for (const auto& [name, choice] : kMatmulChoices) {
      const auto linear = CreateLinear({8, 8, type, choice}, weight, {});
      ASSERT_TRUE(linear.ok()) << linear.status();
      const Linear* made = linear->get();
      const LinearEngine engine = ChooseLinearEngine(type, GetCpuFeatures(), choice);
      EXPECT_EQ(dynamic_cast<const internal::OneDnnLinear*>(made) != nullptr, engine == kOneDnn)
          << name;
      EXPECT_EQ(dynamic_cast<const internal::PanelLinear*>(made) != nullptr, engine == kPanels)
          << name;
    }
  }
}

TEST(LinearCreate, RefusesBFloat16WithoutAvx512) {
  if (GetCpuFeatures().avx512) GTEST_SKIP() << "this CPU has it";
  const std::vector<float> weight(64, 1.0f);
  for (const auto& [name, choice] : kMatmulChoices) {
    EXPECT_EQ(CreateLinear({8, 8, DataType::kBFloat16, choice}, weight, {}).status().code(),
              absl::StatusCode::kFailedPrecondition)
        << name;
  }
}

}  // namespace
}  // namespace attend
