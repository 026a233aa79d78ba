// Keys and values of several heads, and how they are asked for before they are read.
// Included by core/attention/tile.cc once for each SIMD target.

// How far ahead of a load its like is asked for: more than the latency of memory times its
// bandwidth (4 KiB), and little beside the first-level cache. Measured from 3 to 16 KiB: 8
// KiB was best or near it for groups of 1, 4 and 8 heads, float32 and bfloat16.
constexpr int64_t kFetchBytes = 8192;

constexpr int64_t kLineBytes = 64;

// Asks for rows, line by line in the order of memory: only so, and spread over the
// arithmetic, did memory deliver near what it can. Into the first level: into the second
// was slower by a sixth.
class Fetch {
 public:
  Fetch(const std::byte* rows, int64_t stride, int64_t row_bytes, int64_t count)
      : at_(reinterpret_cast<intptr_t>(rows)),
        row_end_(at_ + row_bytes),
        stride_(stride),
        row_bytes_(row_bytes),
        rows_(count) {
    if (stride != row_bytes || count == 0) return;
    row_end_ = at_ + row_bytes * count;  // as one row
    rows_ = 1;
  }

  // The next `count` lines, if there are as many. One instruction in a loop: several in a
  // row read the second-level cache faster by a fifth, but memory slower by a twentieth.
  HWY_INLINE void Lines(int64_t count) {
    for (; count > 0 && rows_ > 0; --count) {
      __builtin_prefetch(reinterpret_cast<const void*>(at_), 0, 3);
      at_ += kLineBytes;
      if (at_ < row_end_) continue;
      row_end_ += stride_;
      at_ = row_end_ - row_bytes_;
      --rows_;
    }
  }

 private:
  intptr_t at_, row_end_;  // numbers, as the last steps point behind the rows
  int64_t stride_, row_bytes_, rows_;
};

// Rows of keys or values; strides in bytes.
struct RowsAt {
  const std::byte* data;
  int64_t stride;

  HWY_INLINE const std::byte* row(int64_t i) const { return data + i * stride; }
};

// Keys or values of several heads, in elements of the input's type; strides in bytes.
struct HeadRows {
  const std::byte* data;
  int64_t row_stride, head_stride;
  int64_t width;  // words of a key, features of a value
  int rows;
  RowsAt next{};  // what is read after the last head; null: unknown

  // Rows from `row` on.
  RowsAt At(int head, int row) const {
    return {data + head * head_stride + row * row_stride, row_stride};
  }
};

// The order in which rows of several heads are gone through: that of memory, in steps of
// some rows of one head, or of all heads where their rows lie between each other.
struct ShortOrder {
  ShortOrder(const HeadRows& all, int heads, int64_t row_bytes)
      : at_once(all.head_stride < all.row_stride ? heads : 1),
        bytes((at_once - 1) * all.head_stride + row_bytes) {}

  // The rows `ahead` after `row` of the heads from `head` on, or of those after them.
  Fetch Ahead(const HeadRows& all, int heads, int head, int row, int ahead, int count) const {
    RowsAt from = all.At(head, row + ahead);
    if (row + ahead >= all.rows) {
      from = head + at_once < heads ? all.At(head + at_once, 0) : all.next;
      if (from.data != nullptr) from.data += (row + ahead - all.rows) * from.stride;
    }
    return Fetch(from.data, from.stride, bytes, from.data == nullptr ? 0 : count);
  }

  int at_once;    // heads
  int64_t bytes;  // of a row of these
};
