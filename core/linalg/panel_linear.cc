#include "core/linalg/panel_linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/cpu.h"
#include "core/base/scratch.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

constexpr int64_t kWordBytes = 4;

// Rows that are converted together: as much as a second-level cache keeps.
constexpr int64_t kConvertedBytes = 512 << 10;

int64_t DivideUp(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit;
}

}  // namespace

PanelLinear::PanelLinear(const LinearConfig& config, absl::Span<const float> weight,
                         absl::Span<const float> bias)
    : config_(config),
      row_bytes_(config.inputs * static_cast<int64_t>(ElementSize(config.input_type))),
      pairs_(config.input_type == DataType::kBFloat16 && GetCpuFeatures().avx512_bf16),
      words_(pairs_ ? DivideUp(config.inputs, 2) : config.inputs),
      strips_(DivideUp(config.outputs, kStripOutputs)),
      weights_(static_cast<size_t>(strips_ * kStripOutputs * words_ * kWordBytes)),
      bias_(static_cast<size_t>(strips_ * kStripOutputs) * sizeof(float)) {
  std::fill_n(bias_.as<float>(), strips_ * kStripOutputs, 0.0f);
  std::copy(bias.begin(), bias.end(), bias_.as<float>());
  Pack(weight);
}

void PanelLinear::Pack(absl::Span<const float> weight) {
  // Outputs that do not exist, and the second half of the last pair, are 0.
  std::memset(weights_.data(), 0, weights_.size());
  const int64_t lanes = PanelLanes(), inputs = config_.inputs;
  std::vector<std::byte> typed(static_cast<size_t>(row_bytes_));
  std::vector<std::byte> row(static_cast<size_t>(words_ * kWordBytes));
  for (int64_t o = 0; o < config_.outputs; ++o) {
    ConvertFromFloat(weight.data() + o * inputs, config_.input_type, typed.data(), inputs);
    const DataType to = pairs_ ? DataType::kBFloat16 : DataType::kFloat32;
    ConvertFloats(config_.input_type, typed.data(), to, row.data(), inputs);
    std::byte* word = weights_.data() + (o / lanes * lanes * words_ + o % lanes) * kWordBytes;
    for (int64_t w = 0; w < words_; ++w, word += lanes * kWordBytes) {
      std::memcpy(word, row.data() + w * kWordBytes, kWordBytes);
    }
  }
}

int64_t PanelLinear::NumTasks(int64_t rows) const {
  return DivideUp(rows, kStripRows) * strips_;
}

// All strips of a block of rows, then the next block: the rows stay in the cache, and
// weights, which lie in the order of use, come ahead of it.
void PanelLinear::RunTask(int64_t task, int64_t rows, const std::byte* x, std::byte* y) const {
  const int64_t block_rows = DivideUp(rows, DivideUp(rows, kStripRows));  // of equal size
  const int64_t row = task / strips_ * block_rows;
  const int64_t output = task % strips_ * kStripOutputs;
  const auto element = static_cast<int64_t>(ElementSize(config_.output_type));
  StripProduct product;
  product.pairs = pairs_;
  product.x = x + row * row_bytes_;
  product.x_stride = row_bytes_;
  product.rows = std::min(block_rows, rows - row);
  product.words = words_;
  product.weights = weights_.as<float>() + output * words_;
  product.bias = bias_.as<float>() + output;
  product.outputs = std::min(kStripOutputs, config_.outputs - output);
  product.output_type = config_.output_type;
  product.y_stride = config_.outputs * element;
  product.y = y + row * product.y_stride + output * element;
  if (row_bytes_ == words_ * kWordBytes) return RunStrip(product);
  RunConverted(product);
}

// Where a row is not made of words as the kernel reads them: bfloat16 to be widened, or
// an odd number of them, whose last word would reach into the row that follows.
void PanelLinear::RunConverted(StripProduct product) const {
  thread_local Scratch scratch(2 * kConvertedBytes);
  const int64_t bytes = words_ * kWordBytes;
  const int64_t end = product.rows;
  const int64_t step = std::clamp<int64_t>(kConvertedBytes / bytes, 1, end);
  std::byte* const words = scratch.Reserve(static_cast<size_t>(step * bytes));
  const std::byte* from = product.x;
  product.x = words;
  product.x_stride = bytes;
  for (int64_t row = 0; row < end; row += step) {
    product.rows = std::min(step, end - row);
    for (int64_t r = 0; r < product.rows; ++r, from += row_bytes_) {
      std::byte* const to = words + r * bytes;
      if (pairs_) {
        std::memcpy(to, from, static_cast<size_t>(row_bytes_));
        std::memset(to + row_bytes_, 0, static_cast<size_t>(bytes - row_bytes_));
      } else {
        ConvertToFloat(config_.input_type, from, reinterpret_cast<float*>(to), config_.inputs);
      }
    }
    RunStrip(product);
    product.y += product.rows * product.y_stride;
  }
}

}  // namespace attend::internal
