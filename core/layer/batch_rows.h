// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_BATCH_ROWS_H_
#define ATTEND_CORE_LAYER_BATCH_ROWS_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "core/base/arena.h"
#include "core/exec/execution_context.h"
#include "core/tensor/tensor.h"

namespace attend::internal {

// Contiguous elements that change their type on the way between an item and a batch.
struct Conversion {
  DataType from, to;
  const std::byte* source;
  std::byte* destination;
  int64_t elements;
};

// The most conversions that BatchRows::Add makes of this many rows.
size_t MaxConversions(int64_t rows);

// Blocks until all conversions are done.
void Convert(absl::Span<const Conversion> conversions, ExecutionContext& context);

// The addresses of the rows of one input or output of a batch's projections. Rows are used in
// place if their type matches; otherwise they are converted into a packed buffer first, or out
// of it afterwards. Byte is const for an input.
template <typename Byte>
class BatchRows {
 public:
  // Has room for `rows` rows of `width` elements of `type`, of which `converted` rows have
  // another type in their items. The frame owns the memory.
  BatchRows(ArenaFrame& frame, int64_t rows, int64_t converted, int64_t width, DataType type);

  // Adds the next rows of the batch, which are contiguous, and the conversions they need.
  void Add(DataType item_type, Byte* rows, int64_t count, ArenaList<Conversion>& conversions);

  Byte* const* rows() const { return rows_; }

 private:
  const DataType type_;
  const int64_t width_;
  Byte** const rows_;
  std::byte* packed_;
  int64_t count_ = 0;
};

extern template class BatchRows<std::byte>;
extern template class BatchRows<const std::byte>;

}  // namespace attend::internal

#endif  // ATTEND_CORE_LAYER_BATCH_ROWS_H_
