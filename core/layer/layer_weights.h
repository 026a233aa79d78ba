// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_LAYER_WEIGHTS_H_
#define ATTEND_CORE_LAYER_LAYER_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "core/layer/layer_config.h"

namespace attend {

// float32, row-major [out, in] as checkpoints store them: y = x W^T + b.
// An empty bias adds nothing.
struct LayerWeights {
  std::vector<float> query_weight, query_bias;    // [H * D, embed_dim], [H * D]
  std::vector<float> key_weight, key_bias;        // [Hkv * D, key_dim], [Hkv * D]
  std::vector<float> value_weight, value_bias;    // [Hkv * Dv, value_dim], [Hkv * Dv]
  std::vector<float> output_weight, output_bias;  // [embed_dim, H * Dv], [embed_dim]
  std::vector<float> query_norm, key_norm;        // [D], with query_key_norm
  std::vector<float> relative_bias;               // [buckets, H], with relative_bias
};

// INVALID_ARGUMENT if the number of elements does not fit the config. Precondition:
// CheckLayerConfig(config) is OK.
absl::Status CheckLayerWeights(const LayerConfig& config, const LayerWeights& weights);

// The number of elements of all weights together.
int64_t CountParameters(const LayerWeights& weights);

}  // namespace attend

#endif  // ATTEND_CORE_LAYER_LAYER_WEIGHTS_H_
