// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/load_layers.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/linalg/linear_engine.h"
#include "core/simd/cpu.h"
#include "core/weights/load.h"
#include "server/telemetry/log.h"

namespace attend {
namespace {

absl::Status Add(std::unique_ptr<const Layer> layer, LayerRegistry& registry) {
  const Layer& added = *layer;
  ATTEND_RETURN_IF_ERROR(registry.Add(std::move(layer)));
  const LayerConfig& config = added.config();
  const LinearEngine engine =
      ChooseLinearEngine(config.compute_type(), GetCpuFeatures(), config.matmul);
  Log(LogLevel::kInfo, "loaded layer",
      {{"name", config.name},
       {"embed_dim", absl::StrCat(config.embed_dim)},
       {"heads", absl::StrCat(config.num_heads)},
       {"kv_heads", absl::StrCat(config.num_kv_heads)},
       {"compute", config.compute == ComputeType::kBFloat16 ? "bf16" : "f32"},
       {"matmul", std::string(Name(engine))},
       {"sha256", config.sha256}});
  return absl::OkStatus();
}

}  // namespace

absl::Status LoadLayers(const LayersConfig& config, LayerRegistry& registry) {
  for (ModelSpec spec : config.models) {
    spec.matmul = spec.matmul.value_or(config.matmul);
    ATTEND_ASSIGN_OR_RETURN(std::vector<std::unique_ptr<const Layer>> layers, LoadModel(spec));
    for (std::unique_ptr<const Layer>& layer : layers) {
      ATTEND_RETURN_IF_ERROR(Add(std::move(layer), registry));
    }
  }
  for (RandomLayerSpec spec : config.random_layers) {
    spec.matmul = spec.matmul.value_or(config.matmul);
    ATTEND_ASSIGN_OR_RETURN(std::unique_ptr<const Layer> layer, MakeRandomLayer(spec));
    ATTEND_RETURN_IF_ERROR(Add(std::move(layer), registry));
  }
  return absl::OkStatus();
}

}  // namespace attend
