#ifndef ATTEND_CORE_LINALG_ROW_BLOCKS_H_
#define ATTEND_CORE_LINALG_ROW_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attend::internal {

// Covers any number of rows with blocks of a few fixed sizes: as many of the largest size
// as are full, then at most two blocks for the remainder, of which the last may be larger
// than what is left. Immutable, thread-safe.
class RowBlocks {
 public:
  struct Block {
    int64_t begin = 0;      // first row
    size_t size_index = 0;  // into the sizes given
  };

  // `sizes` are >= 1 and descending, at least one.
  explicit RowBlocks(std::vector<int64_t> sizes);

  int64_t size(size_t index) const { return sizes_[index]; }
  int64_t Count(int64_t rows) const;

  // Precondition: 0 <= index < Count(rows).
  Block At(int64_t index, int64_t rows) const;

 private:
  // The blocks of a remainder, as indices into sizes_; `count` of them.
  struct Tail {
    int64_t count = 0;
    size_t first = 0, second = 0;
  };
  Tail PlanTail(int64_t rows) const;

  std::vector<int64_t> sizes_;
  std::vector<Tail> tails_;  // by remainder
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_ROW_BLOCKS_H_
