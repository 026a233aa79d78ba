// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_KERNELS_HEAD_ROWS_H_
#define ATTEND_CORE_ATTENTION_KERNELS_HEAD_ROWS_H_

#include <cstddef>
#include <cstdint>

#include "core/attention/kernels/tile_state.h"
#include "core/attention/query_tile.h"
#include "core/tensor/tensor.h"

namespace attend::internal {

// Rows of one head; the stride is in bytes.
struct RowsAt {
  const std::byte* data;
  int64_t stride;

  const std::byte* row(int64_t i) const { return data + i * stride; }
};

// Rows of keys or values of several heads; strides are in bytes.
struct HeadRows {
  const std::byte* data;
  int64_t row_stride, head_stride;
  int64_t width;  // words per key, or features per value
  int rows;
  RowsAt next{};  // the rows read after the last head; null: unknown

  // The rows of a head, starting at `row`.
  RowsAt At(int head, int row) const {
    return {data + head * head_stride + row * row_stride, row_stride};
  }
};

// Keys or values, starting at head `head` of the tile's, `width` words or features wide.
inline HeadRows FindRows(const TileState& state, const Rows& rows, KeyRange keys, int head,
                         int64_t width) {
  const DataType type = state.problem.input_type;
  const auto element = static_cast<int64_t>(ElementSize(type));
  return {rows.At(type, state.kv_head + head, keys.begin), rows.row_stride * element,
          rows.head_stride * element, width, keys.count};
}

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_KERNELS_HEAD_ROWS_H_
