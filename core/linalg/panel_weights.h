// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_PANEL_WEIGHTS_H_
#define ATTEND_CORE_LINALG_PANEL_WEIGHTS_H_

#include <cstddef>
#include <cstdint>

#include "core/base/arena.h"
#include "core/linalg/linear.h"
#include "core/linalg/panel_kernel.h"

namespace attend::internal {

// The form in which the panel kernel reads rows of one type and width: as floats or, if the CPU
// has avx512_bf16, as pairs of bfloat16.
struct PanelRowFormat {
  PanelRowFormat(DataType type, int64_t inputs);  // kFloat32 or kBFloat16

  DataType type;
  int64_t inputs;
  bool bfloat16_pairs;
  int64_t words;  // per row
};

// Converts one row to words; the second half of an odd last pair is 0.
void ConvertToWords(const PanelRowFormat& format, const std::byte* row, std::byte* words);

// A linear layer's weights and bias in panels, whoever packed and owns them. Outputs beyond the
// last are 0, up to a whole column block.
struct PanelWeights {
  PanelRowFormat format;
  int64_t outputs = 0;
  int64_t block_words = 0;         // words of a column block in memory, >= format.words
  int64_t sum_words = 0;           // as in PanelProduct
  const float* weights = nullptr;  // [column blocks][block_words * kColumnBlock]
  const float* bias = nullptr;     // [column blocks][kColumnBlock]
};

// Computes outputs [kColumnBlock * column_block, ...) of 1 to kRowBlock rows. Rows that cannot
// be read as words (bfloat16 to be widened, or an odd number of bfloat16, whose last word would
// reach beyond the row) are converted in working memory first. Thread-safe.
void RunColumnBlock(const PanelWeights& weights, int64_t column_block, const LinearBatch& batch,
                    Arena& arena);

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_PANEL_WEIGHTS_H_
