// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_NORM_ROTARY_H_
#define ATTEND_CORE_LAYER_NORM_ROTARY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "core/base/arena.h"
#include "core/exec/execution_context.h"
#include "core/layer/layer_config.h"
#include "core/layer/layer_weights.h"
#include "core/layer/rotary.h"

namespace attend::internal {

// The steps between the projections of queries and keys and attention: RMS norm over the
// features of each head, then the rotary embedding, as far as the layer has them. They work in
// place, in float32; if the matrix is bfloat16, each row is rounded once, at the end. A row's
// result depends on that row and its position alone. Immutable, thread-safe.
class NormRotary {
 public:
  NormRotary(const LayerConfig& config, const LayerWeights& weights);

  // True if the layer has neither, so that there is nothing to do.
  bool empty() const { return !norm_ && !angles_.has_value(); }

  // Consecutive rows of one sequence in a projected matrix.
  struct Rows {
    std::byte* data = nullptr;  // [count, heads * D], of the layer's compute type
    int64_t count = 0;
    int64_t position = 0;  // position of the first row; the next row has the next position
    bool query = false;    // the rows have the query's heads and norm, otherwise the key's
  };

  // The most tasks that AddTasks makes of this many rows.
  static size_t MaxTasks(int64_t rows) {
    return static_cast<size_t>(rows / RotaryAngles::kBlock) + 2;
  }

  // Appends `rows` to a list of tasks, divided where rows share angles.
  void AddTasks(const Rows& rows, ArenaList<Rows>& tasks) const;

  // Blocks until all tasks are done.
  void Run(absl::Span<const Rows> tasks, ExecutionContext& context) const;

 private:
  // The angles of a row, and the row in float32, in a worker's arena.
  struct Memory {
    RotaryAngles::Block block;
    float *cos, *sin, *row;
  };
  void RunTask(const Rows& rows, Arena& arena) const;
  void RunRow(const Rows& rows, int64_t position, float* row, const Memory& memory) const;

  const DataType type_;
  const int64_t query_heads_, key_heads_, head_dim_;
  const bool norm_;
  const double epsilon_;
  const std::vector<float> query_norm_, key_norm_;  // [D], with norm_
  const bool interleaved_;
  std::optional<RotaryAngles> angles_;
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LAYER_NORM_ROTARY_H_
