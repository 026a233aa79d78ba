// SPDX-License-Identifier: Apache-2.0

// The rows of a decode tile, and the order in which it reads keys and values.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_DECODE_ORDER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_DECODE_ORDER_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_DECODE_ORDER_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_DECODE_ORDER_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "core/attention/kernels/head_rows.h"
#include "core/simd/prefetch-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The rows of a tile: those of its first head of keys and values, then those of the next.
struct DecodeRows {
  int kv_heads;
  int per_head;  // rows of the tile that share a head of keys and values
  PrefetchPolicy prefetch;
};

// The order in which rows of several heads are read: that of memory, in steps of some rows
// of one head, or of all heads where their rows are interleaved.
struct DecodeOrder {
  DecodeOrder(const HeadRows& all, const DecodeRows& rows, int64_t row_bytes)
      : heads(rows.kv_heads),
        level(rows.prefetch.level),
        at_once(all.head_stride < all.row_stride ? rows.kv_heads : 1),
        bytes((at_once - 1) * all.head_stride + row_bytes) {}

  // Prefetches `count` rows that are `ahead` rows after `row` of the heads from `head` on, or
  // in what is read after them.
  PrefetchStream Ahead(const HeadRows& all, int head, int row, int ahead, int count) const {
    RowsAt from = all.At(head, row + ahead);
    if (row + ahead >= all.rows) {
      from = head + at_once < heads ? all.At(head + at_once, 0) : all.next;
      if (from.data != nullptr) from.data += (row + ahead - all.rows) * from.stride;
    }
    return PrefetchStream(from.data, from.stride, bytes, from.data == nullptr ? 0 : count, level);
  }

  int heads;  // of the tile
  PrefetchLevel level;
  int at_once;    // heads that are read together
  int64_t bytes;  // of a row of these
};

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
