// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_RANDOM_LAYER_H_
#define ATTEND_CORE_WEIGHTS_RANDOM_LAYER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/layer/layer_config.h"
#include "core/weights/layer_source.h"

namespace attend {

// A layer with random weights. Sizes are in features, windows in keys.
struct RandomLayerSpec {
  struct Rotary {
    int64_t dim = 0;  // 0: head_dim
    double theta = 10000.0;
    bool interleaved = false;
  };

  std::string name;
  int64_t embed_dim = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // 0: num_heads
  int64_t head_dim = 0;      // 0: embed_dim / num_heads
  uint64_t seed = 1;
  ComputeType compute = ComputeType::kFloat32;
  float scale = 0.0f;                                 // 0: 1 / sqrt(head_dim)
  float softcap = 0.0f;                               // 0: no softcap
  std::optional<int64_t> window_left = std::nullopt;  // absent: unbounded
  std::optional<int64_t> window_right = std::nullopt;
  std::optional<Rotary> rotary = std::nullopt;  // absent: no rotary embedding
  bool qk_norm = false;
  int64_t relative_buckets = 0;  // 0: no relative bias
  int64_t relative_max_distance = 128;
  std::optional<MatmulChoice> matmul = std::nullopt;  // absent: kAuto
};

// Draws the layer that `spec` defines. The parameters are the numbers
//
//   bound(tensor) * (2 u_n - 1),  u_n = (mix(seed + (n + 1) * 0x9E3779B97F4A7C15) >> 40) / 2^24
//
// in the order query weight, query bias, key weight, key bias, value weight, value bias, output
// weight, output bias and, if the layer has them, query norm, key norm, relative bias. Each
// tensor is row-major, and n counts through all of them from 0; mix is that of SplitMix64
// (Steele, Lea, Flood 2014). bound is float32(sqrt(3 / inputs)) for a weight, so that inputs
// of variance 1 give outputs of variance 1; 1/2 for a bias; 1/2 for a norm, to which 1 is
// added; and 1 for a relative bias. Every step but the last is exact, so the layer is the same
// on every machine. Its sha256 is that of a text that lists the spec. INVALID_ARGUMENT if the
// sizes do not fit each other or the layer has more than 2^30 parameters.
absl::StatusOr<LayerParameters> DrawRandomLayer(const RandomLayerSpec& spec);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_RANDOM_LAYER_H_
