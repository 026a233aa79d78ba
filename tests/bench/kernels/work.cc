// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kernels/work.h"

#include <cmath>
#include <random>
#include <stdexcept>
#include <string>

namespace attend::bench {

Work MakeWork(const nlohmann::json& spec) {
  const std::string kind = spec.at("kind");
  if (kind == "attention") return MakeAttention(spec);
  if (kind == "layer") return MakeLayer(spec);
  if (kind == "linear") return MakeLinear(spec);
  throw std::invalid_argument("unknown kind " + kind);
}

std::vector<float> Normal(int64_t count, float scale, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

DataType TypeOf(const nlohmann::json& spec) {
  const std::string type = spec.at("type");
  if (type == "f32") return DataType::kFloat32;
  if (type == "bf16") return DataType::kBFloat16;
  throw std::invalid_argument("unknown type " + type);
}

MatmulChoice ReadMatmul(const nlohmann::json& spec) {
  const std::string matmul = spec.value("matmul", "auto");
  for (const auto& [name, choice] : kMatmulChoices) {
    if (name == matmul) return choice;
  }
  throw std::invalid_argument("unknown matmul " + matmul);
}

void RelativeError::Add(double got, double truth) {
  difference_ += (got - truth) * (got - truth);
  norm_ += truth * truth;
}

double RelativeError::Value() const {
  return std::sqrt(difference_ / norm_);
}

}  // namespace attend::bench
