// SPDX-License-Identifier: Apache-2.0
#include "core/simd/cpu.h"

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(CpuFeatures, AreEachContainedInTheNextLower) {
  const CpuFeatures& cpu = GetCpuFeatures();
  EXPECT_TRUE(!cpu.avx512 || cpu.avx2);
  EXPECT_TRUE(!cpu.avx512_bf16 || cpu.avx512);
  EXPECT_TRUE(!cpu.amx_bf16 || cpu.avx512_bf16);
  EXPECT_EQ(CpuFeatureNames().size(),
            size_t{cpu.avx2} + size_t{cpu.avx512} + size_t{cpu.avx512_bf16} + size_t{cpu.amx_bf16});
}

// ctest runs this program once for each path with the variable set.
TEST(CpuFeatures, HonourTheLimitThatOneDnnReads) {
  const char* limit = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (limit == nullptr) GTEST_SKIP() << "no limit set";
  const CpuFeatures& cpu = GetCpuFeatures();
  const std::string isa = limit;
  EXPECT_FALSE(cpu.avx2 && isa == "SSE41");
  EXPECT_FALSE(cpu.avx512 && isa == "AVX2");
  EXPECT_FALSE(cpu.avx512_bf16 && isa == "AVX512_CORE");
  EXPECT_FALSE(cpu.amx_bf16 && isa == "AVX512_CORE_BF16");
}

}  // namespace
}  // namespace attend
