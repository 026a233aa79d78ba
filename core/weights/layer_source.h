// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_LAYER_SOURCE_H_
#define ATTEND_CORE_WEIGHTS_LAYER_SOURCE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/layer/layer_config.h"
#include "core/layer/layer_weights.h"

namespace attend {

// A model to load.
struct ModelSpec {
  std::string name;
  std::string path;       // a checkpoint directory, or one .safetensors file
  int64_t num_heads = 0;  // 0: as the checkpoint's config says
  ComputeType compute = ComputeType::kFloat32;
  std::optional<MatmulChoice> matmul = std::nullopt;  // absent: kAuto
};

// The arguments of Layer::Create.
struct LayerParameters {
  LayerConfig config;
  LayerWeights weights;
};

// The attention layers that a model's files define. They are read one at a time, so that only
// one is held in float32 beside the layers that are already packed. Immutable, thread-safe.
class LayerSource {
 public:
  virtual ~LayerSource() = default;
  virtual int64_t num_layers() const = 0;

  // Reads one layer. Precondition: 0 <= index < num_layers(). An error names the file and the
  // tensor. Blocks on the disk.
  virtual absl::StatusOr<LayerParameters> Read(int64_t index) const = 0;
};

// Splits weights or biases of query, key and value, stacked in this order, into equal thirds.
// Precondition: the size is a multiple of 3.
void SplitStacked(const std::vector<float>& stacked, std::vector<float>& query,
                  std::vector<float>& key, std::vector<float>& value);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_LAYER_SOURCE_H_
