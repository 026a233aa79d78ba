// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_LAYER_BATCH_H_
#define ATTEND_CORE_LAYER_LAYER_BATCH_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "core/attention/problem.h"
#include "core/base/arena.h"
#include "core/exec/execution_context.h"
#include "core/layer/batch_rows.h"
#include "core/layer/layer.h"
#include "core/layer/layer_item.h"

namespace attend {

// One batch through one layer. All rows of the items are packed without padding, so that each
// projection is one matmul over all of them; attention runs per sequence. An item's bits do not
// depend on the other items of the batch.
//
// The memory comes from the context's arenas, so a warm batch allocates nothing. To be used
// once, on the thread that owns the context.
class LayerBatch {
 public:
  // All arguments outlive the batch.
  LayerBatch(const Layer& layer, absl::Span<const LayerItem* const> items,
             ExecutionContext& context);

  // Computes the items' outputs, and weights and log-sum-exp if requested. Blocks until done.
  void Run();

 private:
  // The position of one sequence's rows in the matrices of the batch.
  struct PlacedSequence {
    const LayerItem* item;
    const LayerSequence* sequence;
    int64_t query_begin;  // row in the matrix of queries
    int64_t key_begin;    // row in the matrices of keys and values of its key source
  };

  // A matrix of the batch with contiguous rows.
  struct Matrix {
    std::byte* data = nullptr;
    int64_t width = 0;  // elements
    int64_t rows = 0;
  };

  // Keys and values, and the rows that they are projected from.
  struct KeyValues {
    Matrix keys, values;
    const std::byte* const* key_inputs = nullptr;
    const std::byte* const* value_inputs = nullptr;
  };

  void Place();
  void ProjectInputs();
  void NormAndRotate();
  void Attend();
  void ProjectOutputs();

  void PlaceSequences(KeySource source);
  const std::byte* const* GatherInputs();
  const ScoreTerm* FillRelativeBias();
  DataType FindOutputType() const;
  Matrix TakeMatrix(int64_t rows, int64_t width);
  std::byte* RowAt(const Matrix& matrix, int64_t row) const;
  std::byte** AddressRows(const Matrix& matrix);
  KeyValues& FindKeyValues(const PlacedSequence& placed) {
    return placed.sequence->key_source == KeySource::kQueryRows ? self_ : cross_;
  }

  const Layer& layer_;
  const LayerConfig& config_;
  const DataType type_;  // type of all matrices
  const absl::Span<const LayerItem* const> items_;
  ExecutionContext& context_;
  ArenaFrame frame_;

  // Sequences whose keys come from the query's rows are first: the projections of keys and
  // values then read the first rows of the queries' inputs.
  ArenaList<PlacedSequence> sequences_;
  Matrix queries_;   // [rows, H * D]
  Matrix contexts_;  // [rows, H * Dv], the output of attention
  KeyValues self_;   // for sequences with KeySource::kQueryRows
  KeyValues cross_;  // for sequences with KeySource::kOwnRows
};

}  // namespace attend

#endif  // ATTEND_CORE_LAYER_LAYER_BATCH_H_
