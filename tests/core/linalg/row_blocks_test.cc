#include "core/linalg/row_blocks.h"

#include <vector>

#include "gtest/gtest.h"

namespace attend::internal {
namespace {

TEST(RowBlocks, CoverEveryCountOnceInOrder) {
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{64, 32, 16, 8, 4, 1}, {64}, {64, 1}, {64, 16, 4}}) {
    const RowBlocks blocks(sizes);
    EXPECT_EQ(blocks.Count(0), 0);
    for (int64_t rows = 1; rows <= 200; ++rows) {
      int64_t next = 0;
      for (int64_t i = 0; i < blocks.Count(rows); ++i) {
        const RowBlocks::Block block = blocks.At(i, rows);
        EXPECT_EQ(block.begin, next) << "block " << i << " of " << rows << " rows";
        EXPECT_LT(block.begin, rows);
        next = block.begin + blocks.size(block.size_index);
      }
      EXPECT_GE(next, rows);
      EXPECT_LT(next - rows, 64);
      EXPECT_LE(blocks.Count(rows), rows / 64 + 2);
    }
  }
}

TEST(RowBlocks, TakeTheBlocksThatCostLeast) {
  const RowBlocks blocks({64, 32, 16, 8, 4, 1});
  const auto sizes = [&](int64_t rows) {
    std::vector<int64_t> taken;
    for (int64_t i = 0; i < blocks.Count(rows); ++i) {
      taken.push_back(blocks.size(blocks.At(i, rows).size_index));
    }
    return taken;
  };
  using Sizes = std::vector<int64_t>;
  EXPECT_EQ(sizes(1), Sizes{1});
  EXPECT_EQ(sizes(2), Sizes{4});  // starting a block costs as much as ten rows
  EXPECT_EQ(sizes(5), Sizes{8});
  EXPECT_EQ(sizes(17), (Sizes{16, 1}));
  EXPECT_EQ(sizes(33), (Sizes{32, 1}));
  EXPECT_EQ(sizes(63), Sizes{64});
  EXPECT_EQ(sizes(64), Sizes{64});
  EXPECT_EQ(sizes(130), (Sizes{64, 64, 4}));
}

}  // namespace
}  // namespace attend::internal
