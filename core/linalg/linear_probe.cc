// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/linear_probe.h"

#include <random>

#include "core/base/math.h"
#include "core/linalg/panel_kernel.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

// `value`, rounded to the input's type and widened again.
float Round(DataType type, float value) {
  return type == DataType::kBFloat16 ? BFloat16ToFloat(FloatToBFloat16(value)) : value;
}

std::vector<float> MakeRow(const LinearConfig& config, std::minstd_rand& random) {
  std::vector<float> row(static_cast<size_t>(config.inputs));
  for (float& value : row) {
    const float unit = static_cast<float>(random()) / static_cast<float>(random.max());
    value = Round(config.input_type, unit - 0.5f);
  }
  return row;
}

size_t PaddedOutputs(const LinearConfig& config) {
  return static_cast<size_t>(RoundUp(config.outputs, kColumnBlock));
}

void Append(const LinearConfig& config, const std::vector<float>& row, std::vector<std::byte>& x) {
  const size_t begin = x.size();
  x.resize(begin + row.size() * ElementSize(config.input_type));
  ConvertFromFloat(row.data(), config.input_type, x.data() + begin, config.inputs);
}

}  // namespace

LinearProbe MakeEqualRows(const LinearConfig& config, absl::Span<const float> weight,
                          int64_t rows) {
  std::minstd_rand random(1);
  const std::vector<float> row = MakeRow(config, random);
  LinearProbe probe;
  for (int64_t r = 0; r < rows; ++r) Append(config, row, probe.x);
  for (int64_t o = 0; o < config.outputs; ++o) {
    double sum = 0.0;
    for (int64_t i = 0; i < config.inputs; ++i) {
      sum += static_cast<double>(row[static_cast<size_t>(i)]) *
             Round(config.input_type, weight[static_cast<size_t>(o * config.inputs + i)]);
    }
    probe.bias.push_back(static_cast<float>(-sum));
  }
  probe.bias.resize(PaddedOutputs(config), 0.0f);
  return probe;
}

LinearProbe MakeDifferentRows(const LinearConfig& config, int64_t rows) {
  std::minstd_rand random(2);
  LinearProbe probe;
  for (int64_t r = 0; r < rows; ++r) Append(config, MakeRow(config, random), probe.x);
  probe.bias.assign(PaddedOutputs(config), 0.0f);
  return probe;
}

}  // namespace attend::internal
