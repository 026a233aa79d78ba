// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_FILES_CHECKPOINT_H_
#define ATTEND_CORE_WEIGHTS_FILES_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/weights/files/json.h"
#include "core/weights/files/safetensors.h"

namespace attend {

// A Hugging Face checkpoint directory: config.json beside either model.safetensors or
// model.safetensors.index.json and the shards that the index lists. If both exist,
// model.safetensors is read. Immutable, thread-safe.
class Checkpoint {
 public:
  // Opens and checks every file. Shards must lie in the directory itself and hold the tensors
  // that the index assigns to them. NOT_FOUND if config.json or the weights are missing;
  // INVALID_ARGUMENT if they are missing but a GGUF is there, if config.json says that the weights
  // are quantised, or if a file breaks its format; other errors are those of File. Reads every
  // byte of the weights once, for the checksum, and blocks on the disk.
  static absl::StatusOr<Checkpoint> Open(const std::string& directory);

  const Json& config() const { return config_; }
  const std::string& config_path() const { return config_path_; }

  // SHA-256 of model.safetensors in lower-case hex. With shards, it is the SHA-256 of their
  // SHA-256s (lower-case hex, concatenated in order of file name).
  const std::string& sha256() const { return sha256_; }

  // Path of model.safetensors or of the index, for errors about missing tensors.
  const std::string& weights_path() const { return weights_path_; }

  bool Contains(const std::string& tensor) const { return shards_by_tensor_.count(tensor) != 0; }

  // Reads a tensor as Safetensors::ReadFloat32 does.
  absl::StatusOr<std::vector<float>> ReadFloat32(const std::string& tensor,
                                                 absl::Span<const int64_t> shape) const;

 private:
  Checkpoint() = default;
  absl::Status OpenSingle();
  absl::Status OpenSharded(const std::string& directory);

  Json config_;
  std::string config_path_, weights_path_, sha256_;
  std::vector<Safetensors> shards_;
  std::map<std::string, size_t> shards_by_tensor_;  // indices into shards_
};

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_FILES_CHECKPOINT_H_
