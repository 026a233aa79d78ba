// SPDX-License-Identifier: Apache-2.0
#include "core/layer/rotary.h"

#include <algorithm>
#include <cmath>

namespace attend::internal {
namespace {

constexpr double kPi = 3.14159265358979323846;

// LayerInfo's Rotary and Llama3Scaling state the formulas (attend/v1/layer.proto).
double Scale(const RotaryConfig& config, double f) {
  switch (config.scaling) {
    case RotaryConfig::Scaling::kNone:
      return f;
    case RotaryConfig::Scaling::kLinear:
      return f / config.factor;
    case RotaryConfig::Scaling::kLlama3:
      break;
  }
  const double turns = static_cast<double>(config.original_max_position) * f / (2 * kPi);
  const double kept = std::clamp((turns - config.low_frequency_factor) /
                                     (config.high_frequency_factor - config.low_frequency_factor),
                                 0.0, 1.0);
  return f * (kept + (1.0 - kept) / config.factor);
}

}  // namespace

RotaryAngles::RotaryAngles(const RotaryConfig& config) {
  const double width = static_cast<double>(config.width);
  for (int64_t m = 0; m < config.width / 2; ++m) {
    const double f = std::pow(config.theta, -2.0 * static_cast<double>(m) / width);
    frequencies_.push_back(Scale(config, f));
  }
  for (int64_t step = 0; step < kBlock; ++step) {
    for (const double f : frequencies_) {
      step_cos_.push_back(std::cos(static_cast<double>(step) * f));
      step_sin_.push_back(std::sin(static_cast<double>(step) * f));
    }
  }
}

void RotaryAngles::Enter(int64_t position, Block& block) const {
  // Rounded towards minus infinity.
  block.first = position - ((position % kBlock) + kBlock) % kBlock;
  for (int64_t m = 0; m < pairs(); ++m) {
    const double angle = static_cast<double>(block.first) * frequencies_[m];
    block.cos[m] = std::cos(angle);
    block.sin[m] = std::sin(angle);
  }
}

void RotaryAngles::At(const Block& block, int64_t position, float* cos, float* sin) const {
  const double* step_cos = step_cos_.data() + (position - block.first) * pairs();
  const double* step_sin = step_sin_.data() + (position - block.first) * pairs();
  for (int64_t m = 0; m < pairs(); ++m) {
    cos[m] = static_cast<float>(block.cos[m] * step_cos[m] - block.sin[m] * step_sin[m]);
    sin[m] = static_cast<float>(block.sin[m] * step_cos[m] + block.cos[m] * step_sin[m]);
  }
}

}  // namespace attend::internal
