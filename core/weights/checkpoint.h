#ifndef ATTEND_CORE_WEIGHTS_CHECKPOINT_H_
#define ATTEND_CORE_WEIGHTS_CHECKPOINT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/weights/json.h"
#include "core/weights/safetensors.h"

namespace attend {

// A Hugging Face checkpoint directory: config.json beside model.safetensors, or
// beside model.safetensors.index.json and the shards that it lists. Where both
// are there, model.safetensors counts. Immutable, thread-safe.
class Checkpoint {
 public:
  // Opens and checks every file. Shards must lie in the directory itself and hold
  // what the index says they hold.
  static absl::StatusOr<Checkpoint> Open(const std::string& directory);

  const Json& config() const { return config_; }
  const std::string& config_path() const { return config_path_; }

  // LayerInfo.sha256: of model.safetensors; of shards, the SHA-256 of their
  // SHA-256s (lower-case hex, one after the other) in order of file name.
  const std::string& sha256() const { return sha256_; }

  // The file to name where a tensor is missing: model.safetensors or the index.
  const std::string& weights_path() const { return weights_path_; }

  bool Contains(const std::string& tensor) const { return shard_of_.count(tensor) != 0; }

  // As Safetensors::ReadFloat32.
  absl::StatusOr<std::vector<float>> ReadFloat32(const std::string& tensor,
                                                 absl::Span<const int64_t> shape) const;

 private:
  Checkpoint() = default;
  absl::Status OpenSingle();
  absl::Status OpenSharded(const std::string& directory);

  Json config_;
  std::string config_path_, weights_path_, sha256_;
  std::vector<Safetensors> shards_;
  std::map<std::string, size_t> shard_of_;  // tensor -> index into shards_
};

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_CHECKPOINT_H_
