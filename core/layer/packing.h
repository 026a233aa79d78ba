#ifndef ATTEND_CORE_LAYER_PACKING_H_
#define ATTEND_CORE_LAYER_PACKING_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/layer/layer.h"

namespace attend::internal {

// Where the rows of one sequence stand in the packed matrices of a batch.
struct PackedSequence {
  const LayerItem* item = nullptr;
  const LayerSequence* sequence = nullptr;
  bool self = false;        // key and value are the query's rows
  int64_t query_begin = 0;  // row in the matrix of queries
  int64_t key_begin = 0;    // row in that matrix if self, else in the matrices of keys and values
};

// The rows of a batch without padding between them: queries of self-attention
// first, since keys and values are projected from the same rows, then queries of
// cross-attention; keys and values of cross-attention stand by themselves.
struct Packing {
  std::vector<PackedSequence> sequences;  // self first
  int64_t self_rows = 0;
  int64_t query_rows = 0;  // self_rows and those of cross-attention
  int64_t cross_rows = 0;  // of keys, and of values

  // Reuses the memory of the packing before.
  void Plan(absl::Span<const LayerItem* const> items);
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LAYER_PACKING_H_
