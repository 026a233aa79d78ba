#include "core/linalg/panel_linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/math.h"
#include "core/simd/cpu.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

constexpr int64_t kWordBytes = 4;

// Rows are converted together up to so many bytes, which a second-level cache keeps.
constexpr int64_t kConvertedBytes = 512 << 10;

}  // namespace

PanelLinear::PanelLinear(const LinearConfig& config, absl::Span<const float> weight,
                         absl::Span<const float> bias)
    : config_(config),
      row_bytes_(config.inputs * static_cast<int64_t>(ElementSize(config.input_type))),
      bfloat16_pairs_(config.input_type == DataType::kBFloat16 && GetCpuFeatures().avx512_bf16),
      words_(bfloat16_pairs_ ? DivideUp<int64_t>(config.inputs, 2) : config.inputs),
      column_blocks_(DivideUp(config.outputs, kColumnBlock)),
      weights_(static_cast<size_t>(column_blocks_ * kColumnBlock * words_ * kWordBytes)),
      bias_(static_cast<size_t>(column_blocks_ * kColumnBlock) * sizeof(float)) {
  std::fill_n(bias_.as<float>(), column_blocks_ * kColumnBlock, 0.0f);
  std::copy(bias.begin(), bias.end(), bias_.as<float>());
  Pack(weight);
}

void PanelLinear::Pack(absl::Span<const float> weight) {
  // Outputs that do not exist, and the second half of the last pair, are 0.
  std::memset(weights_.data(), 0, weights_.size());
  const int64_t width = PanelWidth(), inputs = config_.inputs;
  std::vector<std::byte> typed(static_cast<size_t>(row_bytes_));
  std::vector<std::byte> words(static_cast<size_t>(words_ * kWordBytes));
  for (int64_t o = 0; o < config_.outputs; ++o) {
    ConvertFromFloat(weight.data() + o * inputs, config_.input_type, typed.data(), inputs);
    ConvertRow(typed.data(), words.data());
    std::byte* word = weights_.data() + (o / width * width * words_ + o % width) * kWordBytes;
    for (int64_t w = 0; w < words_; ++w, word += width * kWordBytes) {
      std::memcpy(word, words.data() + w * kWordBytes, kWordBytes);
    }
  }
}

int64_t PanelLinear::NumTasks(int64_t rows) const {
  return DivideUp(rows, kRowBlock) * column_blocks_;
}

// All column blocks of a row block, then the next row block: the rows stay in the cache,
// and the weights, which lie in the order of use, are prefetched.
void PanelLinear::Run(int64_t task, const LinearBatch& batch, Arena& arena) const {
  const int64_t row_blocks = DivideUp(batch.rows, kRowBlock);
  const int64_t block_rows = DivideUp(batch.rows, row_blocks);  // so that all are equally large
  const int64_t row = task / column_blocks_ * block_rows;
  const int64_t output = task % column_blocks_ * kColumnBlock;
  PanelProduct product;
  product.bfloat16_pairs = bfloat16_pairs_;
  product.rows = std::min(block_rows, batch.rows - row);
  product.words = words_;
  product.x = batch.x + row;
  product.y = batch.y + row;
  product.output_type = batch.output_type;
  product.first_output = output;
  product.outputs = std::min(kColumnBlock, config_.outputs - output);
  product.weights = weights_.as<float>() + output * words_;
  product.bias = bias_.as<float>() + output;
  if (row_bytes_ == words_ * kWordBytes) return RunPanelProduct(product);
  RunConverted(product, arena);
}

// For rows that are not made of words as the kernel reads them: bfloat16 to be widened, or
// an odd number of bfloat16, whose last word would reach beyond the row.
void PanelLinear::RunConverted(const PanelProduct& product, Arena& arena) const {
  const int64_t bytes = words_ * kWordBytes;
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
    for (int64_t r = 0; r < part.rows; ++r) ConvertRow(product.x[row + r], words + r * bytes);
    RunPanelProduct(part);
  }
}

// One row, of x or of W, to words.
void PanelLinear::ConvertRow(const std::byte* row, std::byte* words) const {
  if (!bfloat16_pairs_) {
    ConvertFloats(config_.input_type, row, DataType::kFloat32, words, config_.inputs);
    return;
  }
  std::memcpy(words, row, static_cast<size_t>(row_bytes_));
  std::memset(words + row_bytes_, 0, static_cast<size_t>(words_ * kWordBytes - row_bytes_));
}

}  // namespace attend::internal
