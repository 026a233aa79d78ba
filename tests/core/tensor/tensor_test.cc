// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/tensor.h"

#include <cstdint>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::HasSubstr;

TEST(CheckedByteSize, IsTheProductTimesTheElementSize) {
  EXPECT_EQ(*CheckedByteSize(DataType::kFloat32, {2, 3, 5}), 120u);
  EXPECT_EQ(*CheckedByteSize(DataType::kBFloat16, {7}), 14u);
  EXPECT_EQ(*CheckedByteSize(DataType::kBool, {}), 1u);
}

TEST(CheckedByteSize, IsZeroWhereAnAxisIsZero) {
  EXPECT_EQ(*CheckedByteSize(DataType::kFloat32, {0, 3}), 0u);
}

TEST(CheckedByteSize, RefusesAProductThatOverflows) {
  const int64_t big = int64_t{1} << 32;
  const auto size = CheckedByteSize(DataType::kFloat32, {big, big});
  EXPECT_EQ(size.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(size.status().message()), HasSubstr("[4294967296, 4294967296]"));
  EXPECT_FALSE(CheckedByteSize(DataType::kFloat32, {std::numeric_limits<int64_t>::max()}).ok());
}

// numpy refuses such a shape too ("array is too big").
TEST(CheckedByteSize, RefusesAProductThatOverflowsEvenBesideAZero) {
  const int64_t big = int64_t{1} << 32;
  EXPECT_FALSE(CheckedByteSize(DataType::kFloat32, {0, big, big}).ok());
  EXPECT_FALSE(CheckedByteSize(DataType::kFloat32, {big, big, 0}).ok());
  EXPECT_EQ(*CheckedByteSize(DataType::kFloat32, {big, 0, big / 16}), 0u);
}

TEST(CheckedByteSize, RefusesANegativeSizeEvenBesideAZero) {
  EXPECT_FALSE(CheckedByteSize(DataType::kFloat32, {0, -1}).ok());
}

TEST(Tensor, StartsOnACacheLine) {
  Tensor tensor(DataType::kFloat16, {3, 5});
  EXPECT_EQ(tensor.byte_size(), 30u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % 64, 0u);
}

}  // namespace
}  // namespace attend
