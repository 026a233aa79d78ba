#include "core/linalg/panel_linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/simd/cpu.h"
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

// From a row on.
template <typename Byte>
StripRows<Byte> From(int64_t row, int64_t row_bytes, const LinearRows<Byte>& rows) {
  if (rows.pointers != nullptr) return {nullptr, row_bytes, rows.pointers + row};
  return {rows.data + row * row_bytes, row_bytes, nullptr};
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
void PanelLinear::RunTaskOn(int64_t task, int64_t rows, const LinearRows<const std::byte>& x,
                            const LinearRows<std::byte>& y, DataType output_type) const {
  const int64_t block_rows = DivideUp(rows, DivideUp(rows, kStripRows));  // of equal size
  const int64_t row = task / strips_ * block_rows;
  const int64_t output = task % strips_ * kStripOutputs;
  StripProduct product;
  product.pairs = pairs_;
  product.x = From(row, row_bytes_, x);
  product.y = From(row, config_.outputs * static_cast<int64_t>(ElementSize(output_type)), y);
  product.rows = std::min(block_rows, rows - row);
  product.words = words_;
  product.weights = weights_.as<float>() + output * words_;
  product.bias = bias_.as<float>() + output;
  product.first_output = output;
  product.outputs = std::min(kStripOutputs, config_.outputs - output);
  product.output_type = output_type;
  if (row_bytes_ == words_ * kWordBytes) return RunStrip(product);
  RunConverted(product);
}

// Where a row is not made of words as the kernel reads them: bfloat16 to be widened, or
// an odd number of them, whose last word would reach into the row that follows.
void PanelLinear::RunConverted(const StripProduct& product) const {
  thread_local Scratch scratch(2 * kConvertedBytes);
  const int64_t bytes = words_ * kWordBytes;
  const int64_t step = std::clamp<int64_t>(kConvertedBytes / bytes, 1, product.rows);
  std::byte* const words = scratch.Reserve(static_cast<size_t>(step * bytes));
  StripProduct part = product;
  part.x = {words, bytes, nullptr};
  for (int64_t row = 0; row < product.rows; row += step) {
    part.rows = std::min(step, product.rows - row);
    part.y = From<std::byte>(row, product.y.stride, {product.y.data, product.y.pointers});
    for (int64_t r = 0; r < part.rows; ++r) {
      const std::byte* const from = product.x.row(row + r);
      std::byte* const to = words + r * bytes;
      if (pairs_) {
        std::memcpy(to, from, static_cast<size_t>(row_bytes_));
        std::memset(to + row_bytes_, 0, static_cast<size_t>(bytes - row_bytes_));
      } else {
        ConvertToFloat(config_.input_type, from, reinterpret_cast<float*>(to), config_.inputs);
      }
    }
    RunStrip(part);
  }
}

}  // namespace attend::internal
