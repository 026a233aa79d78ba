// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/panel_linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/math.h"
#include "core/tensor/convert.h"

namespace attend::internal {

PanelLinear::PanelLinear(const LinearConfig& config, absl::Span<const float> weight,
                         absl::Span<const float> bias)
    : config_(config),
      column_blocks_(DivideUp(config.outputs, kColumnBlock)),
      panels_{PanelRowFormat(config.input_type, config.inputs), config.outputs} {
  const auto outputs = static_cast<size_t>(column_blocks_ * kColumnBlock);
  panels_.block_words = panels_.format.words;
  memory_ = AlignedBuffer(outputs * static_cast<size_t>(panels_.block_words) * sizeof(float));
  bias_ = AlignedBuffer(outputs * sizeof(float));
  std::fill_n(bias_.as<float>(), outputs, 0.0f);
  std::copy(bias.begin(), bias.end(), bias_.as<float>());
  Pack(weight);
  panels_.weights = memory_.as<float>();
  panels_.bias = bias_.as<float>();
}

void PanelLinear::Pack(absl::Span<const float> weight) {
  std::memset(memory_.data(), 0, memory_.size());  // for outputs that do not exist
  const int64_t width = PanelWidth(), inputs = config_.inputs;
  const int64_t words = panels_.format.words;
  std::vector<std::byte> typed(static_cast<size_t>(inputs) * ElementSize(config_.input_type));
  std::vector<float> row(static_cast<size_t>(words));
  for (int64_t o = 0; o < config_.outputs; ++o) {
    ConvertFromFloat(weight.data() + o * inputs, config_.input_type, typed.data(), inputs);
    ConvertToWords(panels_.format, typed.data(), reinterpret_cast<std::byte*>(row.data()));
    float* to = memory_.as<float>() + o / width * width * words + o % width;
    for (const float& word : row) {
      std::memcpy(to, &word, sizeof(word));  // not an assignment: a pair is no number
      to += width;
    }
  }
}

int64_t PanelLinear::NumTasks(int64_t rows) const {
  return DivideUp(rows, kRowBlock) * column_blocks_;
}

// Computes all column blocks of a row block, then those of the next row block: the rows stay in
// the cache, and the weights, which are in the order of use, are prefetched.
void PanelLinear::Run(int64_t task, const LinearBatch& batch, Arena& arena) const {
  const int64_t row_blocks = DivideUp(batch.rows, kRowBlock);
  const int64_t block_rows =
      DivideUp(batch.rows, row_blocks);  // so that all blocks have the same size
  const int64_t row = task / column_blocks_ * block_rows;
  RunColumnBlock(
      panels_, task % column_blocks_,
      {std::min(block_rows, batch.rows - row), batch.x + row, batch.y + row, batch.output_type},
      arena);
}

}  // namespace attend::internal
