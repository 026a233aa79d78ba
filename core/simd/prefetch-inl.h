// SPDX-License-Identifier: Apache-2.0

// Software prefetch of rows in memory.

#if defined(ATTEND_CORE_SIMD_PREFETCH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_SIMD_PREFETCH_INL_H_
#undef ATTEND_CORE_SIMD_PREFETCH_INL_H_
#else
#define ATTEND_CORE_SIMD_PREFETCH_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "core/simd/prefetch.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kLineBytes = 64;

// Prefetches rows line by line in the order of memory. Only in that order, and spread over
// the arithmetic, did memory deliver near what it can.
class PrefetchStream {
 public:
  PrefetchStream(const std::byte* rows, int64_t stride, int64_t row_bytes, int64_t count,
                 PrefetchLevel level)
      : at_(reinterpret_cast<intptr_t>(rows)),
        row_end_(at_ + row_bytes),
        stride_(stride),
        row_bytes_(row_bytes),
        rows_(level == PrefetchLevel::kNone ? 0 : count),
        into_first_(level == PrefetchLevel::kFirst) {
    if (stride != row_bytes || rows_ == 0) return;
    row_end_ = at_ + row_bytes * count;  // adjacent rows are one long row
    rows_ = 1;
  }

  // Prefetches the next `count` lines, or those that are left. One instruction in a loop:
  // several in a row read the second-level cache faster by a fifth, but memory slower by a
  // twentieth.
  HWY_INLINE void Lines(int64_t count) {
    for (; count > 0 && rows_ > 0; --count) {
      if (into_first_) {
        __builtin_prefetch(reinterpret_cast<const void*>(at_), 0, 3);
      } else {
        __builtin_prefetch(reinterpret_cast<const void*>(at_), 0, 2);
      }
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
  bool into_first_;
};

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
