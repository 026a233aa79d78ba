// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/row_blocks.h"

#include <vector>

#include "gtest/gtest.h"

namespace attend::internal {
namespace {

using End = RowBlocks::End;
using Sizes = std::vector<int64_t>;

TEST(RowBlocks, CoverEveryCountOnceInOrder) {
  for (const Sizes& sizes : {Sizes{64, 32, 16, 8, 4, 1}, {64}, {64, 1}, {64, 32}, {64, 16, 4}}) {
    for (const End end : {End::kPadded, End::kRest}) {
      const RowBlocks blocks(sizes, end);
      for (int64_t rows = 0; rows <= 200; ++rows) {
        int64_t next = 0;
        for (int64_t i = 0; i < blocks.Count(rows); ++i) {
          const RowBlocks::Block block = blocks.At(i, rows);
          EXPECT_EQ(block.begin, next) << "block " << i << " of " << rows << " rows";
          EXPECT_LT(block.begin, rows);
          next = block.begin + blocks.size(block.size_index);
        }
        EXPECT_LE(blocks.Count(rows), rows / 64 + 2);
        if (end == End::kRest) {
          EXPECT_EQ(next + blocks.Rest(rows), rows);
          EXPECT_LT(blocks.Rest(rows), 64);
        } else {
          EXPECT_EQ(blocks.Rest(rows), 0);
          EXPECT_GE(next, rows);
          EXPECT_LT(next - rows, 64);
        }
      }
    }
  }
}

// Returns the sizes of all blocks.
Sizes Divide(const RowBlocks& blocks, int64_t rows) {
  Sizes taken;
  for (int64_t i = 0; i < blocks.Count(rows); ++i) {
    taken.push_back(blocks.size(blocks.At(i, rows).size_index));
  }
  return taken;
}

TEST(RowBlocks, TakeThePaddedBlocksThatCostLeast) {
  const RowBlocks blocks({64, 32, 16, 8, 4, 1}, End::kPadded);
  EXPECT_EQ(Divide(blocks, 1), Sizes{1});
  EXPECT_EQ(Divide(blocks, 2), Sizes{4});  // starting a block costs as much as ten rows
  EXPECT_EQ(Divide(blocks, 5), Sizes{8});
  EXPECT_EQ(Divide(blocks, 17), (Sizes{16, 1}));
  EXPECT_EQ(Divide(blocks, 33), (Sizes{32, 1}));
  EXPECT_EQ(Divide(blocks, 63), Sizes{64});
  EXPECT_EQ(Divide(blocks, 64), Sizes{64});
  EXPECT_EQ(Divide(blocks, 130), (Sizes{64, 64, 4}));
}

TEST(RowBlocks, LeaveARestThatFillsNoBlock) {
  const RowBlocks blocks({64, 32}, End::kRest);
  EXPECT_EQ(Divide(blocks, 31), Sizes{});
  EXPECT_EQ(blocks.Rest(31), 31);
  EXPECT_EQ(Divide(blocks, 32), Sizes{32});
  EXPECT_EQ(blocks.Rest(32), 0);
  EXPECT_EQ(Divide(blocks, 127), (Sizes{64, 32}));
  EXPECT_EQ(blocks.Rest(127), 31);
}

}  // namespace
}  // namespace attend::internal
