// SPDX-License-Identifier: Apache-2.0
#include "core/weights/load.h"

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/weights/checkpoint_source.h"
#include "core/weights/torch_source.h"

namespace attend {
namespace {

absl::StatusOr<std::unique_ptr<const Layer>> Create(LayerParameters parameters,
                                                    std::optional<MatmulChoice> matmul) {
  parameters.config.matmul = matmul.value_or(MatmulChoice::kAuto);
  const std::string name = parameters.config.name;
  absl::StatusOr<std::unique_ptr<const Layer>> layer =
      Layer::Create(std::move(parameters.config), parameters.weights);
  if (layer.ok()) return layer;
  return absl::Status(layer.status().code(),
                      absl::StrCat("layer ", name, ": ", layer.status().message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<const LayerSource>> OpenModel(const ModelSpec& spec) {
  std::error_code ignored;  // a path that does not exist is reported when it is opened
  return std::filesystem::is_directory(spec.path, ignored) ? OpenCheckpoint(spec)
                                                           : OpenTorchAttention(spec);
}

absl::StatusOr<std::vector<std::unique_ptr<const Layer>>> LoadModel(const ModelSpec& spec) {
  ATTEND_ASSIGN_OR_RETURN(const std::unique_ptr<const LayerSource> source, OpenModel(spec));
  std::vector<std::unique_ptr<const Layer>> layers;
  for (int64_t index = 0; index < source->num_layers(); ++index) {
    ATTEND_ASSIGN_OR_RETURN(LayerParameters parameters, source->Read(index));
    ATTEND_ASSIGN_OR_RETURN(std::unique_ptr<const Layer> layer,
                            Create(std::move(parameters), spec.matmul));
    layers.push_back(std::move(layer));
  }
  return layers;
}

absl::StatusOr<std::unique_ptr<const Layer>> MakeRandomLayer(const RandomLayerSpec& spec) {
  ATTEND_ASSIGN_OR_RETURN(LayerParameters parameters, DrawRandomLayer(spec));
  return Create(std::move(parameters), spec.matmul);
}

}  // namespace attend
