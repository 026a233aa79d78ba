// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/panel_weights.h"

#include <algorithm>
#include <cstring>

#include "core/base/math.h"
#include "core/linalg/panel_prefetch.h"
#include "core/simd/cpu.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

constexpr int64_t kWordBytes = 4;

// The most bytes of rows that are converted together: a second-level cache keeps them.
constexpr int64_t kConvertedBytes = 512 << 10;

int64_t RowBytes(const PanelRowFormat& format) {
  return format.inputs * static_cast<int64_t>(ElementSize(format.type));
}

void RunConverted(const PanelProduct& product, const PanelRowFormat& format, Arena& arena) {
  const int64_t bytes = format.words * kWordBytes;
  const int64_t step = std::clamp<int64_t>(kConvertedBytes / bytes, 1, product.rows);
  ArenaFrame frame(arena);
  std::byte* const words = frame.Take<std::byte>(static_cast<size_t>(step * bytes));
  const auto** const rows = frame.Take<const std::byte*>(static_cast<size_t>(step));
  for (int64_t r = 0; r < step; ++r) rows[r] = words + r * bytes;
  PanelProduct part = product;
  part.x = rows;
  for (int64_t row = 0; row < product.rows; row += step) {
    part.rows = std::min(step, product.rows - row);
    part.y = product.y + row;
    for (int64_t r = 0; r < part.rows; ++r) {
      ConvertToWords(format, product.x[row + r], words + r * bytes);
    }
    RunPanelProduct(part);
  }
}

}  // namespace

PanelRowFormat::PanelRowFormat(DataType row_type, int64_t row_inputs)
    : type(row_type),
      inputs(row_inputs),
      bfloat16_pairs(row_type == DataType::kBFloat16 && GetCpuFeatures().avx512_bf16),
      words(bfloat16_pairs ? DivideUp<int64_t>(row_inputs, 2) : row_inputs) {}

void ConvertToWords(const PanelRowFormat& format, const std::byte* row, std::byte* words) {
  if (!format.bfloat16_pairs) {
    ConvertFloats(format.type, row, DataType::kFloat32, words, format.inputs);
    return;
  }
  const int64_t bytes = RowBytes(format);
  std::memcpy(words, row, static_cast<size_t>(bytes));
  std::memset(words + bytes, 0, static_cast<size_t>(format.words * kWordBytes - bytes));
}

void RunColumnBlock(const PanelWeights& weights, int64_t column_block, const LinearBatch& batch,
                    Arena& arena) {
  const PanelRowFormat& format = weights.format;
  PanelProduct product;
  product.bfloat16_pairs = format.bfloat16_pairs;
  product.rows = batch.rows;
  product.words = format.words;
  product.x = batch.x;
  product.y = batch.y;
  product.output_type = batch.output_type;
  product.sum_words = weights.sum_words;
  product.first_output = column_block * kColumnBlock;
  product.outputs = std::min(kColumnBlock, weights.outputs - product.first_output);
  product.weights = weights.weights + product.first_output * weights.block_words;
  product.bias = weights.bias + product.first_output;
  product.prefetch = GetPanelPrefetch();
  if (format.words * kWordBytes == RowBytes(format)) return RunPanelProduct(product);
  RunConverted(product, format, arena);
}

}  // namespace attend::internal
