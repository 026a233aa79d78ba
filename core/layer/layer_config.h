// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_LAYER_CONFIG_H_
#define ATTEND_CORE_LAYER_LAYER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/attention/problem.h"
#include "core/linalg/linear_engine.h"
#include "core/tensor/tensor.h"

namespace attend {

enum class ComputeType { kFloat32, kBFloat16 };

// Rotary position embedding of queries and keys, after bias and norm (Su et al., 2021,
// arxiv.org/abs/2104.09864): pairs of the first `width` features are rotated by position * f_m,
// f_m = theta^(-2m / width). The angle is computed in double.
struct RotaryConfig {
  enum class Layout { kHalfSplit, kInterleaved };  // pairs (m, m + R/2), or (2m, 2m + 1)
  enum class Scaling { kNone, kLinear, kLlama3 };

  int64_t width = 0;  // R, even, 0 < R <= D
  double theta = 10000.0;
  Layout layout = Layout::kHalfSplit;
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;  // f / factor; in Llama 3 for the low frequencies only
  double low_frequency_factor = 1.0, high_frequency_factor = 4.0;  // kLlama3
  int64_t original_max_position = 8192;                            // kLlama3
};

// A learned bias of scores by the distance of key and query (Raffel et al., 2020,
// arxiv.org/abs/1910.10683, section 2.1).
struct RelativeBiasConfig {
  int64_t buckets = 0;
  int64_t max_distance = 128;
  bool bidirectional = true;
};

// The place of a layer in the model that a checkpoint holds. It changes nothing that the layer
// computes.
struct ModelPlace {
  std::string model;     // the name that the server gave the model
  std::string family;    // model_type in config.json
  std::string stack;     // "encoder" or "decoder" in a model that has both, otherwise empty
  int64_t index = 0;     // number of the layer's block in its stack, from 0
  int64_t count = 0;     // blocks of the stack
  bool decoder = false;  // in the model, a token reads only itself and the tokens before it
};

// The definition of a layer. All widths >= 1, H % Hkv == 0.
struct LayerConfig {
  std::string name;
  int64_t embed_dim = 0;  // E, width of query and output
  int64_t key_dim = 0;    // width of key's input
  int64_t value_dim = 0;  // width of value's input
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t value_head_dim = 0;
  float scale = 0.0f;  // scale of scores, if a request gives none
  // Defaults for requests that give none; 0 and absent: none.
  float softcap = 0.0f;
  std::optional<int64_t> window_left, window_right;
  std::optional<RotaryConfig> rotary;
  std::optional<RelativeBiasConfig> relative_bias;
  bool query_key_norm = false;  // RMS norm over the features of each head
  double norm_epsilon = 1e-6;
  ComputeType compute = ComputeType::kFloat32;
  MatmulChoice matmul = MatmulChoice::kAuto;  // which engine computes the projections
  std::vector<int64_t> pruned_heads;
  std::optional<ModelPlace> place;  // absent: the layer comes from no checkpoint directory
  std::string sha256;               // in hex, of the layer's source

  HeadShape heads() const { return {num_heads, num_kv_heads, head_dim, value_head_dim}; }

  // The type of projected rows and of attention.
  DataType compute_type() const {
    return compute == ComputeType::kBFloat16 ? DataType::kBFloat16 : DataType::kFloat32;
  }
};

// INVALID_ARGUMENT if a setting is invalid by itself or together with others. Within its bounds
// no product of two widths overflows.
absl::Status CheckLayerConfig(const LayerConfig& config);

}  // namespace attend

#endif  // ATTEND_CORE_LAYER_LAYER_CONFIG_H_
