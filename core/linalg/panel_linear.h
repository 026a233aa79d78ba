#ifndef ATTEND_CORE_LINALG_PANEL_LINEAR_H_
#define ATTEND_CORE_LINALG_PANEL_LINEAR_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "core/base/aligned_buffer.h"
#include "core/linalg/linear.h"
#include "core/linalg/panel.h"

namespace attend::internal {

// Our own kernel behind Linear. Each row is summed in one order whatever rows are
// computed with it: nothing to try out, no row computed for padding, and few rows take
// the time that their weights take to be read. Serves every CPU and type; bfloat16
// without avx512_bf16 is computed in float32, from weights rounded to bfloat16.
class PanelLinear final : public Linear {
 public:
  // As Linear::Create.
  PanelLinear(const LinearConfig& config, absl::Span<const float> weight,
              absl::Span<const float> bias);

  const LinearConfig& config() const override { return config_; }
  int64_t PaddedRows(int64_t rows) const override { return rows; }
  int64_t NumTasks(int64_t rows) const override;
  void RunTaskOn(int64_t task, int64_t rows, const LinearRows<const std::byte>& x,
                 const LinearRows<std::byte>& y, DataType output_type) const override;
  bool Scatters() const override { return true; }

 private:
  void Pack(absl::Span<const float> weight);
  void RunConverted(const StripProduct& product) const;

  const LinearConfig config_;
  const int64_t row_bytes_;  // of x
  const bool pairs_;         // words are pairs of bfloat16, otherwise float32
  const int64_t words_;      // of a row, as the kernel reads it
  const int64_t strips_;     // of kStripOutputs outputs
  AlignedBuffer weights_;    // [strips], each as StripProduct has them
  AlignedBuffer bias_;       // [strips][kStripOutputs], 0 where there is none
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_PANEL_LINEAR_H_
