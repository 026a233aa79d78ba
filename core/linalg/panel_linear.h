// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_PANEL_LINEAR_H_
#define ATTEND_CORE_LINALG_PANEL_LINEAR_H_

#include <cstdint>

#include "absl/types/span.h"
#include "core/base/aligned_buffer.h"
#include "core/linalg/linear.h"
#include "core/linalg/panel_weights.h"

namespace attend::internal {

// Linear computed by our own kernel. Each row is summed in one order whatever rows are computed
// with it: nothing has to be verified at load, no row is computed for padding, and a few rows
// take only as long as reading the weights. Serves every CPU and type; bfloat16 without
// avx512_bf16 is computed in float32, from weights rounded to bfloat16.
class PanelLinear final : public Linear {
 public:
  // The arguments are those of CreateLinear.
  PanelLinear(const LinearConfig& config, absl::Span<const float> weight,
              absl::Span<const float> bias);

  const LinearConfig& config() const override { return config_; }
  int64_t NumTasks(int64_t rows) const override;
  void Run(int64_t task, const LinearBatch& batch, Arena& arena) const override;

 private:
  void Pack(absl::Span<const float> weight);

  const LinearConfig config_;
  const int64_t column_blocks_;  // each of kColumnBlock outputs
  AlignedBuffer memory_, bias_;  // memory that panels_ points to
  PanelWeights panels_;
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_PANEL_LINEAR_H_
