// SPDX-License-Identifier: Apache-2.0
#include "core/exec/cores.h"

#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(ParseCpuMax, IsQuotaOverPeriod) {
  EXPECT_EQ(ParseCpuMax("150000 100000"), 1.5);
  EXPECT_EQ(ParseCpuMax("50000 100000\n"), 0.5);
}

TEST(ParseCpuMax, IsNothingWhereThereIsNoQuota) {
  EXPECT_EQ(ParseCpuMax("max 100000"), std::nullopt);
  EXPECT_EQ(ParseCpuMax(""), std::nullopt);
  EXPECT_EQ(ParseCpuMax("1"), std::nullopt);
  EXPECT_EQ(ParseCpuMax("1 0"), std::nullopt);
  EXPECT_EQ(ParseCpuMax("-1 100000"), std::nullopt);
  EXPECT_EQ(ParseCpuMax("nan 100000"), std::nullopt);
}

TEST(UsableCores, IsAtLeastOne) {
  EXPECT_GE(UsableCores(), 1);
}

}  // namespace
}  // namespace attend
