// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/layer_reloader.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/status.h"
#include "core/weights/load.h"
#include "server/telemetry/log.h"

namespace attend {
namespace {

// Returns the SHA-256 of the model that is now in service.
absl::StatusOr<std::string> ReloadModel(const ModelSpec& spec, LayerRegistry& registry,
                                        const LayerReloader::TryLayer& try_layer) {
  ATTEND_ASSIGN_OR_RETURN(std::vector<std::unique_ptr<const Layer>> layers, LoadModel(spec));
  if (layers.empty()) return absl::FailedPreconditionError("the model has no layers");
  for (const std::unique_ptr<const Layer>& layer : layers) {
    // Replace says better what is wrong with a layer of a new name.
    if (registry.Find(layer->config().name) == nullptr) continue;
    ATTEND_RETURN_IF_ERROR(try_layer(*layer));
  }
  std::string sha256 = layers.front()->config().sha256;
  ATTEND_RETURN_IF_ERROR(registry.Replace(std::move(layers)));
  return sha256;
}

}  // namespace

LayerReloader::LayerReloader(const LayersConfig& config, LayerRegistry& registry, Metrics& metrics,
                             TryLayer try_layer)
    : config_(config),
      registry_(registry),
      metrics_(metrics),
      try_layer_(std::move(try_layer)),
      thread_([this] { Run(); }) {}

LayerReloader::~LayerReloader() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void LayerReloader::Reload() {
  const MutexLock lock(mutex_);
  asked_ = true;
  changed_.NotifyAll();
}

void LayerReloader::Run() {
  while (true) {
    {
      const MutexLock lock(mutex_);
      while (!asked_ && !ending_) changed_.Wait(mutex_);
      if (ending_) return;
      asked_ = false;
    }
    ReloadAll();
  }
}

void LayerReloader::ReloadAll() {
  Log(LogLevel::kInfo, "reloading layers");
  for (const ModelSpec& spec : config_.models) {
    {
      const MutexLock lock(mutex_);
      if (ending_) return;
    }
    const absl::StatusOr<std::string> sha256 =
        ReloadModel(config_.Complete(spec), registry_, try_layer_);
    if (sha256.ok()) {
      Log(LogLevel::kInfo, "reloaded model", {{"name", spec.name}, {"sha256", *sha256}});
    } else {
      Log(LogLevel::kError, "cannot reload model, its layers stay in service",
          {{"name", spec.name}, {"reason", std::string(sha256.status().message())}});
    }
    metrics_.OnReload(sha256.ok());
  }
}

}  // namespace attend
