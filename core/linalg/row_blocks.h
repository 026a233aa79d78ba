// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_ROW_BLOCKS_H_
#define ATTEND_CORE_LINALG_ROW_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attend::internal {

// Divides any number of rows into blocks of a few fixed sizes: as many of the largest size as
// the rows fill, then at most two more. Immutable, thread-safe.
class RowBlocks {
 public:
  enum class End {
    kPadded,  // the last block may be larger than the rows left
    kRest,    // rows that do not fill a block are in no block
  };

  struct Block {
    int64_t begin = 0;      // first row
    size_t size_index = 0;  // index into the given sizes
  };

  // `sizes` has at least one element; all are >= 1 and descending.
  RowBlocks(std::vector<int64_t> sizes, End end);

  int64_t size(size_t index) const { return sizes_[index]; }

  // The number of blocks, and the number of rows at the end that are in no block: fewer than the
  // largest size, and 0 with kPadded.
  int64_t Count(int64_t rows) const;
  int64_t Rest(int64_t rows) const;

  // Precondition: 0 <= index < Count(rows).
  Block At(int64_t index, int64_t rows) const;

 private:
  // The division of rows that do not fill a block of the largest size: `count` blocks, as
  // indices into sizes_.
  struct Tail {
    int64_t count = 0;
    size_t first = 0, second = 0;
    int64_t rest = 0;
  };
  Tail PlanPadded(int64_t rows) const;
  Tail PlanRest(int64_t rows) const;
  const Tail& FindTail(int64_t rows) const { return tails_[static_cast<size_t>(rows % sizes_[0])]; }

  std::vector<int64_t> sizes_;
  std::vector<Tail> tails_;  // indexed by number of rows
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_ROW_BLOCKS_H_
