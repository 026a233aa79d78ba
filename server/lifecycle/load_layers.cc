// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/load_layers.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "core/base/status.h"
#include "core/linalg/linear_engine.h"
#include "core/simd/cpu.h"
#include "core/weights/load.h"
#include "server/config/config_errors.h"
#include "server/telemetry/log.h"

namespace attend {
namespace {

std::string EngineName(const LayerConfig& config) {
  return std::string(
      Name(ChooseLinearEngine(config.compute_type(), GetCpuFeatures(), config.matmul)));
}

std::string ComputeName(const LayerConfig& config) {
  return config.compute == ComputeType::kBFloat16 ? "bf16" : "f32";
}

// "12", or "8..12" where the layers differ, as pruning leaves them.
std::string DescribeRange(absl::Span<const Layer* const> layers, int64_t LayerConfig::*size) {
  const auto less = [size](const Layer* a, const Layer* b) {
    return a->config().*size < b->config().*size;
  };
  const auto [least, most] = std::minmax_element(layers.begin(), layers.end(), less);
  const int64_t low = (*least)->config().*size, high = (*most)->config().*size;
  return low == high ? absl::StrCat(low) : absl::StrCat(low, "..", high);
}

// Precondition: the model has a layer. Its layers have the same width, type, engine and source.
void LogModel(const std::string& name, absl::Span<const Layer* const> layers) {
  const LayerConfig& first = layers.front()->config();
  Log(LogLevel::kInfo, "loaded model",
      {{"name", name},
       {"family", first.place.has_value() ? first.place->family : "torch"},
       {"layers", absl::StrCat(layers.size())},
       {"first", first.name},
       {"last", layers.back()->config().name},
       {"embed_dim", absl::StrCat(first.embed_dim)},
       {"heads", DescribeRange(layers, &LayerConfig::num_heads)},
       {"kv_heads", DescribeRange(layers, &LayerConfig::num_kv_heads)},
       {"compute", ComputeName(first)},
       {"matmul", EngineName(first)},
       {"sha256", first.sha256}});
}

void LogRandomLayer(const LayerConfig& config) {
  Log(LogLevel::kInfo, "loaded layer",
      {{"name", config.name},
       {"embed_dim", absl::StrCat(config.embed_dim)},
       {"heads", absl::StrCat(config.num_heads)},
       {"kv_heads", absl::StrCat(config.num_kv_heads)},
       {"compute", ComputeName(config)},
       {"matmul", EngineName(config)},
       {"sha256", config.sha256}});
}

absl::Status LoadAndAdd(const ModelSpec& spec, LayerRegistry& registry) {
  ATTEND_ASSIGN_OR_RETURN(std::vector<std::unique_ptr<const Layer>> layers, LoadModel(spec));
  std::vector<const Layer*> added;
  for (std::unique_ptr<const Layer>& layer : layers) {
    added.push_back(layer.get());
    ATTEND_RETURN_IF_ERROR(registry.Add(std::move(layer)));
  }
  LogModel(spec.name, added);
  return absl::OkStatus();
}

absl::Status MakeAndAdd(const RandomLayerSpec& spec, LayerRegistry& registry) {
  ATTEND_ASSIGN_OR_RETURN(std::unique_ptr<const Layer> layer, MakeRandomLayer(spec));
  const LayerConfig& layer_config = layer->config();
  ATTEND_RETURN_IF_ERROR(registry.Add(std::move(layer)));
  LogRandomLayer(layer_config);
  return absl::OkStatus();
}

}  // namespace

absl::Status LoadLayers(const LayersConfig& config, LayerRegistry& registry) {
  ConfigErrors errors;
  const auto note = [&errors](const absl::Status& status) {
    if (!status.ok()) errors.Add(std::string(status.message()));
  };
  for (const ModelSpec& spec : config.models) note(LoadAndAdd(config.Complete(spec), registry));
  for (const RandomLayerSpec& spec : config.random_layers) {
    note(MakeAndAdd(config.Complete(spec), registry));
  }
  return errors.status();
}

}  // namespace attend
