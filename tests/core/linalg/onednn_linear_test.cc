// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/onednn_linear.h"

#include <filesystem>
#include <iterator>
#include <thread>

#include "gtest/gtest.h"
#include "tests/core/linalg/linear_case.h"

namespace attend {
namespace {

// Symptom: requests of 16 rows took 10 ms, in OpenMP's barrier. It is the first test of the
// program, so that threads of others are not counted.
TEST(ALinear, StartsNoThreads) {
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  std::thread([] {}).join();  // ThreadSanitizer starts a thread of its own with the first one
  const auto before = threads();
  std::thread([&] {  // a thread on which OpenMP has not been told anything
    const Case c(16, 768, 768, DataType::kFloat32, DataType::kFloat32, true);
    const auto linear = internal::OneDnnLinear::Create(c.config, c.weight, c.bias);
    ASSERT_TRUE(linear.ok()) << linear.status();
    c.Run(**linear, 1);
    EXPECT_EQ(threads(), before + 1);  // this one
  })
      .join();
}

// With AVX-512, oneDNN packs weights as panels read them and sums in an order that they can
// follow; with the tiles of AMX it sums in another order. Elsewhere its layout differs.
TEST(OneDnnLinear, SharesItsWeightsWithPanelsWhereItsSumsAreEqual) {
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    if (!Supported(type) || (type == DataType::kBFloat16 && GetCpuFeatures().amx_bf16)) continue;
    const bool expected =
        type == DataType::kFloat32 ? GetCpuFeatures().avx512 : GetCpuFeatures().avx512_bf16;
    for (const int64_t inputs : {37, 384, 512, 769, 1024, 1100, 4096}) {
      for (const int64_t outputs : {1, 96, 320}) {
        const Case c(1, inputs, outputs, type, type, false);
        const auto linear = internal::OneDnnLinear::Create(c.config, c.weight, c.bias);
        ASSERT_TRUE(linear.ok()) << linear.status();
        EXPECT_EQ((*linear)->has_panels(), expected)
            << inputs << " inputs, " << outputs << " outputs in " << Name(type);
      }
    }
  }
}

}  // namespace
}  // namespace attend
