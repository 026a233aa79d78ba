#include "core/weights/source.h"

#include <filesystem>

namespace attend {

absl::StatusOr<std::unique_ptr<const LayerSource>> OpenModel(const ModelSpec& spec) {
  std::error_code error;
  const auto kind = std::filesystem::status(spec.path, error).type();
  return kind == std::filesystem::file_type::directory ? OpenCheckpoint(spec)
                                                       : OpenTorchAttention(spec);
}

}  // namespace attend
