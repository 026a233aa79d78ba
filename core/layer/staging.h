#ifndef ATTEND_CORE_LAYER_STAGING_H_
#define ATTEND_CORE_LAYER_STAGING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/exec/execution_context.h"
#include "core/tensor/tensor.h"

namespace attend::internal {

// A copy of elements between an item and a packed matrix, which may change their type.
struct Copy {
  DataType from, to;
  const std::byte* source;
  std::byte* destination;
  int64_t elements;
};

// Blocks until all are done.
void RunCopies(absl::Span<const Copy> copies, ExecutionContext& context);

// One input or output of a batch's projections, row by row. Rows are used in place where
// their type matches; others are converted into a packed buffer first, or out of it
// afterwards. Byte is const for an input. Thread-compatible.
template <typename Byte>
class Staging {
 public:
  // `packed` has room for all rows of the batch, `width` elements of `type` each.
  void Start(std::byte* packed, DataType type, int64_t width);

  // Adds the next rows of the batch, contiguous. Appends the copies that they need.
  void Add(DataType item_type, Byte* rows, int64_t count, std::vector<Copy>& copies);

  // One per row of the batch; valid until the next call of another function.
  Byte* const* rows() const { return pointers_.data(); }

 private:
  std::byte* packed_ = nullptr;
  DataType type_ = DataType::kFloat32;
  int64_t width_ = 0;
  std::vector<Byte*> pointers_;
};

extern template class Staging<std::byte>;
extern template class Staging<const std::byte>;

}  // namespace attend::internal

#endif  // ATTEND_CORE_LAYER_STAGING_H_
