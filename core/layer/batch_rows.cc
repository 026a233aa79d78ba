// SPDX-License-Identifier: Apache-2.0
#include "core/layer/batch_rows.h"

#include <algorithm>
#include <type_traits>

#include "core/base/math.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

// Rows that one task converts.
constexpr int64_t kRowsPerConversion = 64;

}  // namespace

size_t MaxConversions(int64_t rows) {
  return static_cast<size_t>(DivideUp(rows, kRowsPerConversion));
}

void Convert(absl::Span<const Conversion> conversions, ExecutionContext& context) {
  context.pool().ParallelFor(static_cast<int64_t>(conversions.size()), [&](int64_t i, int) {
    const Conversion& c = conversions[i];
    ConvertFloats(c.from, c.source, c.to, c.destination, c.elements);
  });
}

template <typename Byte>
BatchRows<Byte>::BatchRows(ArenaFrame& frame, int64_t rows, int64_t converted, int64_t width,
                           DataType type)
    : type_(type),
      width_(width),
      rows_(frame.Take<Byte*>(static_cast<size_t>(rows))),
      packed_(frame.Take<std::byte>(static_cast<size_t>(converted * width) * ElementSize(type))) {}

template <typename Byte>
void BatchRows<Byte>::Add(DataType item_type, Byte* rows, int64_t count,
                          ArenaList<Conversion>& conversions) {
  const int64_t item_bytes = width_ * static_cast<int64_t>(ElementSize(item_type));
  const int64_t row_bytes = width_ * static_cast<int64_t>(ElementSize(type_));
  const bool in_place = item_type == type_;
  std::byte* const packed = packed_;
  Byte* const first = in_place ? rows : packed;
  for (int64_t r = 0; r < count; ++r) rows_[count_++] = first + r * row_bytes;
  if (in_place) return;
  packed_ += count * row_bytes;
  for (int64_t row = 0; row < count; row += kRowsPerConversion) {
    const int64_t elements = std::min(kRowsPerConversion, count - row) * width_;
    Byte* const item = rows + row * item_bytes;
    std::byte* const own = packed + row * row_bytes;
    if constexpr (std::is_const_v<Byte>) {
      conversions.Add({item_type, type_, item, own, elements});
    } else {
      conversions.Add({type_, item_type, own, item, elements});
    }
  }
}

template class BatchRows<std::byte>;
template class BatchRows<const std::byte>;

}  // namespace attend::internal
