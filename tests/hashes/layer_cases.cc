// SPDX-License-Identifier: Apache-2.0

// Layers of every setting, and cases for them.

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/hashes/case.h"
#include "tests/support/matmul_from_environment.h"

namespace attend {
namespace {

using Mha = MultiHeadAttentionRequest;

struct LayerShape {
  Lengths lengths;
  DataType type = DataType::kFloat32;
  bool packed = false;
  bool cross = false;  // a key of its own; rows of query serve as keys otherwise
  bool value = false;  // and a value of its own
  int64_t padding = 0;
};

LayerConfig Config(std::string name, int64_t embed, int64_t heads, int64_t kv_heads,
                   int64_t head_dim) {
  LayerConfig config;
  config.name = std::move(name);
  config.embed_dim = config.key_dim = config.value_dim = embed;
  config.num_heads = heads;
  config.num_kv_heads = kv_heads;
  config.head_dim = config.value_head_dim = head_dim;
  config.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  return config;
}

LayerConfig WithRotary(LayerConfig config, int64_t width, RotaryConfig::Layout pairs,
                       RotaryConfig::Scaling scaling) {
  RotaryConfig& rotary = config.rotary.emplace();
  rotary.width = width;
  rotary.layout = pairs;
  rotary.scaling = scaling;
  rotary.factor = scaling == RotaryConfig::Scaling::kNone ? 1.0 : 8.0;
  rotary.original_max_position = 64;
  return config;
}

std::vector<LayerConfig> PlainConfigs() {
  std::vector<LayerConfig> configs;
  configs.push_back(Config("plain", 64, 4, 4, 16));
  configs.push_back(Config("odd", 37, 3, 1, 13));
  configs.push_back(Config("large", 512, 8, 2, 64));
  configs.push_back(Config("wide_input", 1100, 4, 2, 16));
  configs.push_back(Config("grouped", 96, 6, 2, 32));
  configs.push_back(Config("pruned", 128, 5, 5, 16));
  configs.back().pruned_heads = {1, 4, 6};
  configs.push_back(Config("key_value_widths", 48, 4, 2, 24));
  configs.back().key_dim = 40;
  configs.back().value_dim = 72;
  configs.push_back(Config("value_head_width", 80, 4, 2, 16));
  configs.back().value_head_dim = 40;
  configs.push_back(Config("softcap_window", 64, 4, 1, 32));
  configs.back().softcap = 1.5f;
  configs.back().window_left = 20;
  configs.back().window_right = 4;
  return configs;
}

std::vector<LayerConfig> PositionConfigs() {
  using Pairs = RotaryConfig::Layout;
  using Scaling = RotaryConfig::Scaling;
  std::vector<LayerConfig> configs;
  const auto rotary = [&](std::string name, int64_t width, Pairs pairs, Scaling scaling) {
    configs.push_back(WithRotary(Config(std::move(name), 96, 6, 2, 32), width, pairs, scaling));
  };
  rotary("rotary_half", 32, Pairs::kHalfSplit, Scaling::kNone);
  rotary("rotary_interleaved", 32, Pairs::kInterleaved, Scaling::kNone);
  rotary("rotary_part", 10, Pairs::kHalfSplit, Scaling::kNone);
  rotary("rotary_part_interleaved", 10, Pairs::kInterleaved, Scaling::kNone);
  rotary("rotary_linear", 32, Pairs::kHalfSplit, Scaling::kLinear);
  rotary("rotary_llama3", 32, Pairs::kHalfSplit, Scaling::kLlama3);
  rotary("rotary_norm", 32, Pairs::kHalfSplit, Scaling::kNone);
  configs.back().query_key_norm = true;
  configs.push_back(Config("norm", 64, 4, 2, 24));
  configs.back().query_key_norm = true;
  configs.push_back(Config("relative", 64, 4, 4, 16));
  configs.back().relative_bias = RelativeBiasConfig{32, 128, true};
  configs.push_back(Config("relative_one_sided", 64, 4, 4, 16));
  configs.back().relative_bias = RelativeBiasConfig{8, 20, false};
  configs.push_back(
      WithRotary(Config("everything", 160, 6, 2, 32), 32, Pairs::kHalfSplit, Scaling::kNone));
  configs.back().query_key_norm = true;
  configs.back().relative_bias = RelativeBiasConfig{8, 20, true};
  configs.back().softcap = 4.0f;
  configs.back().window_left = 50;
  return configs;
}

Shape ScoreShape(const LayerConfig& config, const LayerShape& shape) {
  const int64_t padding = shape.packed ? 0 : shape.padding;
  const int64_t queries = LongestQuery(shape.lengths) + padding;
  return {static_cast<int64_t>(shape.lengths.size()), config.num_heads, queries,
          shape.cross ? LongestKey(shape.lengths) + padding : queries};
}

Mha MakeLayerRequest(const LayerConfig& config, const LayerShape& shape, Draw& draw) {
  Mha request;
  request.layer = config.name;
  int64_t query_rows = 0, key_rows = 0;
  for (const auto& [query, key] : shape.lengths) {
    request.query_lengths.push_back(query);
    if (shape.cross) request.key_lengths.push_back(key);
    query_rows += query;
    key_rows += key;
  }
  const Shape scores = ScoreShape(config, shape);
  const auto operand = [&](int64_t rows, int64_t longest, int64_t width) {
    return shape.packed ? draw.Floats({rows, width}, shape.type)
                        : draw.Floats({scores[0], longest, width}, shape.type);
  };
  request.query = operand(query_rows, scores[2], config.embed_dim);
  if (shape.cross) request.key = operand(key_rows, scores[3], config.key_dim);
  if (shape.value) {
    request.value = operand(shape.cross ? key_rows : query_rows, scores[3], config.value_dim);
  }
  request.options.alignment = Alignment::kEnd;
  return request;
}

Case MakeLayerCase(const std::string& name, const LayerConfig& config, LayerShape shape,
                   const NamedOptions& options) {
  shape.cross |= config.key_dim != config.embed_dim;
  shape.value |= config.value_dim != config.key_dim;
  return {absl::StrCat("layer/", config.name, "/", name, "/", ShortName(shape.type)), config.name,
          [config, shape, set = options.set](Draw& draw) -> Request {
            Mha request = MakeLayerRequest(config, shape, draw);
            set(request.options, ScoreShape(config, shape), draw);
            return request;
          }};
}

const NamedOptions kNothing = {"none", [](AttentionOptions&, const Shape&, Draw&) {}};

const NamedOptions kCausal = {"causal", [](AttentionOptions& options, const Shape&, Draw&) {
                                options.causal = true;
                                options.log_sum_exp = true;
                              }};

// Self-attention and cross-attention in each form, each with its own type.
void AddForms(const LayerConfig& config, std::vector<Case>& cases) {
  const LayerShape self = {
      {{33, 33}, {0, 0}, {20, 20}}, DataType::kFloat32, false, false, false, 3};
  const LayerShape packed = {{{41, 41}, {1, 1}, {18, 18}}, DataType::kBFloat16, true};
  const LayerShape decode = {{{1, 70}, {3, 25}}, DataType::kFloat16, false, true, false, 2};
  const LayerShape cross = {{{30, 45}, {19, 0}}, DataType::kFloat32, true, true, true};
  cases.push_back(MakeLayerCase("self", config, self, kNothing));
  cases.push_back(MakeLayerCase("packed_causal", config, packed, kCausal));
  cases.push_back(MakeLayerCase("decode", config, decode, kCausal));
  const LayerShape many_keys = {{{2, 2500}, {9, 700}}, DataType::kBFloat16, true, true};
  cases.push_back(MakeLayerCase("cross", config, cross, kNothing));
  cases.push_back(MakeLayerCase("many_keys", config, many_keys, kCausal));
}

void AddRowCounts(const LayerConfig& config, std::vector<Case>& cases) {
  size_t turn = 0;
  for (const int64_t rows : {1, 2, 3, 4, 5, 16, 63, 64, 65, 97, 150, 300}) {
    const LayerShape shape = {{{rows, rows}}, TypeInTurn(turn++)};
    cases.push_back(MakeLayerCase(absl::StrCat("rows_", rows), config, shape, kNothing));
  }
}

// Adds one case per option, on top of the settings of the layer.
void AddOptions(const LayerConfig& config, std::vector<Case>& cases) {
  size_t turn = 0;
  for (const NamedOptions& options : AllOptions()) {
    LayerShape shape = {{{24, 24}, {17, 17}}, TypeInTurn(turn++)};
    const NamedOptions with_default = {
        options.name, [set = options.set](AttentionOptions& o, const Shape& target, Draw& draw) {
          o.alignment = Alignment::kUnspecified;  // offsets exclude it
          set(o, target, draw);
        }};
    cases.push_back(
        MakeLayerCase(absl::StrCat("options_", options.name), config, shape, with_default));
  }
}

}  // namespace

std::vector<LayerToHash> LayersToHash() {
  std::vector<LayerToHash> layers;
  for (const auto& configs : {PlainConfigs(), PositionConfigs()}) {
    for (const LayerConfig& config : configs) layers.push_back({config, true});
  }
  layers.push_back({Config("no_biases", 64, 4, 2, 16), false});
  const size_t count = layers.size();
  for (size_t i = 0; i < count; ++i) {
    LayerToHash bfloat16 = layers[i];
    bfloat16.config.name += "_bf16";
    bfloat16.config.compute = ComputeType::kBFloat16;
    layers.push_back(std::move(bfloat16));
  }
  return layers;
}

absl::StatusOr<std::unique_ptr<const Layer>> MakeLayerToHash(const LayerToHash& layer) {
  const LayerConfig& config = layer.config;
  Draw draw(config.name);
  const auto matrix = [&](int64_t outputs, int64_t inputs) {
    return draw.Numbers(outputs * inputs, 1.0f / std::sqrt(static_cast<float>(inputs)));
  };
  const int64_t queries = config.num_heads * config.head_dim;
  const int64_t keys = config.num_kv_heads * config.head_dim;
  const int64_t values = config.num_kv_heads * config.value_head_dim;
  LayerWeights weights;
  weights.query_weight = matrix(queries, config.embed_dim);
  weights.key_weight = matrix(keys, config.key_dim);
  weights.value_weight = matrix(values, config.value_dim);
  weights.output_weight = matrix(config.embed_dim, config.num_heads * config.value_head_dim);
  if (layer.biases) {
    weights.query_bias = draw.Numbers(queries, 0.25f);
    weights.key_bias = draw.Numbers(keys, 0.25f);
    weights.value_bias = draw.Numbers(values, 0.25f);
    weights.output_bias = draw.Numbers(config.embed_dim, 0.25f);
  }
  if (config.query_key_norm) {
    weights.query_norm = draw.Numbers(config.head_dim, 1.0f);
    weights.key_norm = draw.Numbers(config.head_dim, 1.0f);
  }
  if (config.relative_bias.has_value()) {
    weights.relative_bias = draw.Numbers(config.relative_bias->buckets * config.num_heads, 1.0f);
  }
  return Layer::Create(WithMatmulFromEnvironment(config), weights);
}

std::vector<Case> LayerCases(const std::vector<LayerToHash>& layers) {
  std::vector<Case> cases;
  for (const LayerToHash& layer : layers) {
    const std::string& name = layer.config.name;
    AddForms(layer.config, cases);
    for (const char* counted : {"plain", "odd", "large", "wide_input"}) {
      if (name == counted || name == absl::StrCat(counted, "_bf16")) {
        AddRowCounts(layer.config, cases);
      }
    }
    for (const char* optional : {"grouped", "everything"}) {
      if (name == optional || name == absl::StrCat(optional, "_bf16")) {
        AddOptions(layer.config, cases);
      }
    }
  }
  return cases;
}

std::vector<Case> CheckpointCases(const LayerConfig& config) {
  std::vector<Case> cases;
  AddForms(config, cases);
  return cases;
}

}  // namespace attend
