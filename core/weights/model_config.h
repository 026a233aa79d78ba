#ifndef ATTEND_CORE_WEIGHTS_MODEL_CONFIG_H_
#define ATTEND_CORE_WEIGHTS_MODEL_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/statusor.h"
#include "core/layer/layer.h"
#include "core/weights/config_reader.h"
#include "core/weights/families.h"

namespace attend {

// What config.json says of a model's attention layers.
struct ModelConfig {
  int64_t hidden_size = 0;
  int64_t num_heads = 0;  // before pruning
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  std::vector<int64_t> num_layers;                    // of each of the family's stacks
  std::map<int64_t, std::set<int64_t>> pruned_heads;  // by layer
  bool query_key_value_bias = false;
  bool output_bias = false;
  double scale = 1.0;
  bool scale_by_layer = false;  // layer i has scale / (i + 1)
  double softcap = 0.0;         // 0: none
  // window_left of each layer; empty: no layer has one.
  std::vector<std::optional<int64_t>> window_left;
  std::optional<RotaryConfig> rotary;
  int64_t relative_buckets = 0;  // of stacks with a relative bias
  int64_t relative_max_distance = 0;
  double norm_epsilon = 0.0;  // of query and key norm
};

// The family of config.json's model_type, and what it says. INVALID_ARGUMENT for
// a family that is not known, and for every setting that changes attention in a
// way that a layer does not have. Pure, thread-safe.
absl::StatusOr<const ModelFamily*> ReadModelFamily(const ConfigReader& config);
absl::StatusOr<ModelConfig> ReadModelConfig(const ConfigReader& config, const ModelFamily& family);

// The rotary embedding of a family that has one: rope_theta and rope_scaling
// beside the other keys, or rope_parameters with all of it, as newer files have
// it.
absl::StatusOr<RotaryConfig> ReadRotary(const ConfigReader& config, const ModelFamily& family,
                                        int64_t head_dim);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_MODEL_CONFIG_H_
