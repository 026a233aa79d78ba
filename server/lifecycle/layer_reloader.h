// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_LAYER_RELOADER_H_
#define ATTEND_SERVER_LIFECYCLE_LAYER_RELOADER_H_

#include <thread>

#include "core/base/mutex.h"
#include "core/layer/registry.h"
#include "server/config/server_config.h"
#include "server/telemetry/metrics.h"

namespace attend {

// Reads the files of the models again and replaces their layers in the registry, on a thread of its
// own. The layers of one model are replaced together; a model that cannot be loaded, or whose
// layers have another form, keeps the layers in service. While a model is loaded the process holds
// it twice; the old layers are freed when the last request that began with them ends.
class LayerReloader {
 public:
  // `registry` and `metrics` outlive the reloader.
  LayerReloader(const LayersConfig& config, LayerRegistry& registry, Metrics& metrics);

  // Ends after the reload that runs.
  ~LayerReloader();

  // Starts a reload of all models; while one runs, another one follows it. Does not block.
  // Thread-safe.
  void Reload();

 private:
  void Run();
  void ReloadAll();

  const LayersConfig config_;
  LayerRegistry& registry_;
  Metrics& metrics_;
  Mutex mutex_;
  CondVar changed_;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_LAYER_RELOADER_H_
