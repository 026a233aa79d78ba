// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_ONEDNN_LINEAR_H_
#define ATTEND_CORE_LINALG_ONEDNN_LINEAR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/aligned_buffer.h"
#include "core/linalg/linear.h"
#include "core/linalg/linear_probe.h"
#include "core/linalg/onednn_matmul.h"
#include "core/linalg/panel_weights.h"
#include "core/linalg/row_blocks.h"

namespace attend::internal {

// Linear computed by oneDNN's matmul.
//
// oneDNN may use another code path for one row than for many and then compute other bits for a
// row. This class therefore computes blocks of rows of sizes that are verified on these weights
// at load time: they give every row the same bits in every position.
//
// With AVX-512, oneDNN packs weights in the order in which our panels read them, and sums inputs
// in an order that panels can follow. If panels are verified at load to give the same bits, they
// compute the rows that do not fill a block from the very same weights: they compute no row for
// padding, and few rows faster. Otherwise the last block is padded.
class OneDnnLinear final : public Linear {
 public:
  // As CreateLinear. FAILED_PRECONDITION if oneDNN cannot make the matmul.
  static absl::StatusOr<std::unique_ptr<const OneDnnLinear>> Create(const LinearConfig& config,
                                                                    absl::Span<const float> weight,
                                                                    absl::Span<const float> bias);

  const LinearConfig& config() const override { return config_; }
  int64_t NumTasks(int64_t rows) const override;
  void Run(int64_t task, const LinearBatch& batch, Arena& arena) const override;

  // Whether panels compute the rows that fill no block.
  bool has_panels() const { return panels_.has_value(); }

 private:
  // A range of outputs that one matmul computes, in whole column blocks.
  struct Chunk {
    int64_t begin = 0;
    int64_t outputs = 0;
    std::vector<std::shared_ptr<const Matmul>> matmuls;  // indexed by block size
    dnnl::memory weights;
  };

  // Throws dnnl::error, as the functions that it calls do.
  OneDnnLinear(const LinearConfig& config, absl::Span<const float> weight,
               absl::Span<const float> bias);
  void MakeChunks();
  void Pack(absl::Span<const float> weight);
  void FindPanels();
  void AddSmallBlocks(absl::Span<const float> weight);
  std::vector<float> RunProbe(const LinearProbe& probe, size_t size_index, int64_t size) const;

  int64_t InputRowBytes() const;
  MatmulShape Shape(int64_t rows, int64_t outputs) const;
  void RunBlock(const Chunk& chunk, const RowBlocks::Block& block, const LinearBatch& batch,
                Arena& arena) const;
  const std::byte* GatherRows(const std::byte* const* x, int64_t rows, int64_t size,
                              ArenaFrame& frame) const;

  const LinearConfig config_;
  const int64_t outputs_;  // rounded up to whole column blocks; added outputs are 0
  AlignedBuffer weights_;  // weights of all chunks
  AlignedBuffer bias_;     // [outputs_], zeros if there is none
  std::vector<Chunk> chunks_;
  RowBlocks blocks_;
  std::optional<PanelWeights> panels_;  // views of weights_ and bias_
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_ONEDNN_LINEAR_H_
