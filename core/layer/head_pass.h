#ifndef ATTEND_CORE_LAYER_HEAD_PASS_H_
#define ATTEND_CORE_LAYER_HEAD_PASS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "core/exec/execution_context.h"
#include "core/layer/layer.h"
#include "core/layer/rotary.h"

namespace attend::internal {

// What happens to each head of query and key between their projections and
// attention: RMS norm over its features, then the rotary embedding, as the layer
// has them. In place, in float32; where the matrix is bfloat16, each row is
// rounded once, at the end. A row's result depends on that row and its position.
// Immutable, thread-safe.
class HeadPass {
 public:
  HeadPass(const LayerConfig& config, const LayerWeights& weights);

  // Nothing to do: the layer has neither.
  bool empty() const { return !norm_ && !angles_.has_value(); }

  // Consecutive rows of one sequence in a projected matrix.
  struct Rows {
    std::byte* data = nullptr;  // [count, heads * D], of the layer's compute type
    int64_t count = 0;
    int64_t position = 0;  // of the first; the next has the next
    bool query = false;    // has the query's heads and norm, otherwise the key's
  };

  // Appends `rows` to a list of tasks, cut where Run can share angles.
  void AddTasks(const Rows& rows, std::vector<Rows>& tasks) const;

  // Blocks until all are done.
  void Run(absl::Span<const Rows> tasks, ExecutionContext& context) const;

 private:
  struct Memory;
  void RunTask(const Rows& rows) const;
  void RunRow(const Rows& rows, int64_t position, float* row, Memory& memory) const;

  const DataType type_;
  const int64_t query_heads_, key_heads_, head_dim_;
  const bool norm_;
  const double epsilon_;
  const std::vector<float> query_norm_, key_norm_;  // [D], with norm_
  const bool interleaved_;
  std::optional<RotaryAngles> angles_;
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LAYER_HEAD_PASS_H_
