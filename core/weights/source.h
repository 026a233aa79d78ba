#ifndef ATTEND_CORE_WEIGHTS_SOURCE_H_
#define ATTEND_CORE_WEIGHTS_SOURCE_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "core/layer/layer.h"
#include "core/weights/load.h"

namespace attend {

// What Layer::Create takes.
struct LayerParameters {
  LayerConfig config;
  LayerWeights weights;
};

// The attention layers that a model's files define, read one at a time, so that
// at most one is held as float32 beside those already packed.
class LayerSource {
 public:
  virtual ~LayerSource() = default;
  virtual int64_t num_layers() const = 0;

  // Precondition: 0 <= index < num_layers(). An error names file and tensor.
  // Blocks on the disk.
  virtual absl::StatusOr<LayerParameters> Read(int64_t index) const = 0;
};

// Opens what `spec.path` is: a directory as a checkpoint, a file as the
// parameters of one torch.nn.MultiheadAttention.
absl::StatusOr<std::unique_ptr<const LayerSource>> OpenModel(const ModelSpec& spec);
absl::StatusOr<std::unique_ptr<const LayerSource>> OpenCheckpoint(const ModelSpec& spec);
absl::StatusOr<std::unique_ptr<const LayerSource>> OpenTorchAttention(const ModelSpec& spec);

// The layer that `spec` defines. The parameters are the numbers
//
//   bound(tensor) * (2 u_n - 1),  u_n = (mix(seed + (n + 1) * 0x9E3779B97F4A7C15) >> 40) / 2^24
//
// in the order query weight, query bias, key weight, key bias, value weight,
// value bias, output weight, output bias, and, where the layer has them, query
// norm, key norm, relative bias, each row-major, n counted through all of them
// from 0; mix is SplitMix64's (Steele, Lea, Flood 2014). bound is
// float32(sqrt(3 / inputs)) for a weight, so that inputs of variance 1 give
// outputs of variance 1, 1/2 for a bias, 1/2 for a norm, to which 1 is added, and
// 1 for a relative bias. Every step but the last is exact, so the layer is the
// same everywhere. sha256 is of a text that lists the spec. INVALID_ARGUMENT where
// the sizes do not fit each other or the layer has more than 2^30 parameters.
absl::StatusOr<LayerParameters> DrawRandomLayer(const RandomLayerSpec& spec);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_SOURCE_H_
