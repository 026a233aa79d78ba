#ifndef ATTEND_CORE_WEIGHTS_LOAD_H_
#define ATTEND_CORE_WEIGHTS_LOAD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/layer/layer.h"

namespace attend {

// --model=NAME=PATH[:num_heads=12,compute=bf16]
struct ModelSpec {
  std::string name;
  std::string path;       // a checkpoint directory, or one .safetensors file
  int64_t num_heads = 0;  // 0: from the checkpoint's config
  ComputeType compute = ComputeType::kFloat32;
};

// --random-layer=NAME:embed_dim=768,num_heads=12,num_kv_heads=12,head_dim=64,seed=1,...
struct RandomLayerSpec {
  // Any of rotary_dim=64, rotary_theta=10000, rotary_interleaved=off.
  struct Rotary {
    int64_t dim = 0;  // default: head_dim
    double theta = 10000.0;
    bool interleaved = false;
  };

  std::string name;
  int64_t embed_dim = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // default: num_heads
  int64_t head_dim = 0;      // default: embed_dim / num_heads
  uint64_t seed = 1;
  ComputeType compute = ComputeType::kFloat32;
  float scale = 0.0f;                                 // default: 1 / sqrt(head_dim)
  float softcap = 0.0f;                               // default: none
  std::optional<int64_t> window_left = std::nullopt;  // default: unbounded
  std::optional<int64_t> window_right = std::nullopt;
  std::optional<Rotary> rotary = std::nullopt;  // default: none
  bool qk_norm = false;
  int64_t relative_buckets = 0;  // default: no relative bias
  int64_t relative_max_distance = 128;
};

// Parse a flag's value. INVALID_ARGUMENT that names the part that is wrong and
// the keys that are allowed.
absl::StatusOr<ModelSpec> ParseModelSpec(absl::string_view text);
absl::StatusOr<RandomLayerSpec> ParseRandomLayerSpec(absl::string_view text);

// All attention layers of a model: NAME/0, NAME/1, ... of a checkpoint
// directory (docs/models.md has the families and the names of T5's layers), NAME
// of a torch.nn.MultiheadAttention file. Reads and checks the
// files strictly; an error names the file and the tensor.
absl::StatusOr<std::vector<std::unique_ptr<const Layer>>> LoadModel(const ModelSpec& spec);

// Weights drawn from a fixed generator: the same spec gives the same layer on
// every machine.
absl::StatusOr<std::unique_ptr<const Layer>> MakeRandomLayer(const RandomLayerSpec& spec);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_LOAD_H_
