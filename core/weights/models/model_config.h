// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_MODELS_MODEL_CONFIG_H_
#define ATTEND_CORE_WEIGHTS_MODELS_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/layer/layer_config.h"
#include "core/weights/models/config_reader.h"
#include "core/weights/models/families.h"
#include "core/weights/models/pruned_heads.h"

namespace attend {

// The attention layers of a model as config.json describes them.
struct ModelConfig {
  int64_t hidden_size = 0;
  int64_t num_heads = 0;  // before pruning
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  std::vector<int64_t> num_layers;  // per stack of the family
  PrunedHeads pruned_heads;
  bool query_key_value_bias = false;
  bool output_bias = false;
  double scale = 1.0;
  bool scale_by_layer = false;  // layer i has scale / (i + 1)
  double softcap = 0.0;         // 0: no softcap
  // window_left per layer; empty: no layer has a window.
  std::vector<std::optional<int64_t>> window_left;
  std::optional<RotaryConfig> rotary;
  int64_t relative_buckets = 0;  // for stacks with a relative bias
  int64_t relative_max_distance = 0;
  bool decoder = false;       // all stacks are decoders, whatever the family says
  double norm_epsilon = 0.0;  // for query and key norm
};

// Finds the family of config.json's model_type. INVALID_ARGUMENT if it is missing or not known.
absl::StatusOr<const ModelFamily*> ReadModelFamily(const ConfigReader& config);

// Reads config.json as one of the family's. INVALID_ARGUMENT if a size is missing or does not
// fit the others, and for every setting that changes attention in a way that a layer does not
// support. Pure, thread-safe.
absl::StatusOr<ModelConfig> ReadModelConfig(const ConfigReader& config, const ModelFamily& family);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_MODELS_MODEL_CONFIG_H_
