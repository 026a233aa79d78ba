#include "core/layer/staging.h"

#include <algorithm>
#include <type_traits>

#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

// Rows that one task converts.
constexpr int64_t kCopyRows = 64;

}  // namespace

void RunCopies(absl::Span<const Copy> copies, ExecutionContext& context) {
  context.pool().ParallelFor(static_cast<int64_t>(copies.size()), [&](int64_t i, int) {
    const Copy& copy = copies[i];
    ConvertFloats(copy.from, copy.source, copy.to, copy.destination, copy.elements);
  });
}

template <typename Byte>
void Staging<Byte>::Start(std::byte* packed, DataType type, int64_t width) {
  packed_ = packed;
  type_ = type;
  width_ = width;
  pointers_.clear();
}

template <typename Byte>
void Staging<Byte>::Add(DataType item_type, Byte* rows, int64_t count, std::vector<Copy>& copies) {
  const int64_t item_bytes = width_ * static_cast<int64_t>(ElementSize(item_type));
  const int64_t packed_bytes = width_ * static_cast<int64_t>(ElementSize(type_));
  std::byte* const packed = packed_ + static_cast<int64_t>(pointers_.size()) * packed_bytes;
  const bool in_place = item_type == type_;
  Byte* const first = in_place ? rows : packed;
  for (int64_t r = 0; r < count; ++r) pointers_.push_back(first + r * packed_bytes);
  if (in_place) return;
  for (int64_t row = 0; row < count; row += kCopyRows) {
    const int64_t elements = std::min(kCopyRows, count - row) * width_;
    Byte* const item = rows + row * item_bytes;
    std::byte* const matrix = packed + row * packed_bytes;
    if constexpr (std::is_const_v<Byte>) {
      copies.push_back({item_type, type_, item, matrix, elements});
    } else {
      copies.push_back({type_, item_type, matrix, item, elements});
    }
  }
}

template class Staging<std::byte>;
template class Staging<const std::byte>;

}  // namespace attend::internal
