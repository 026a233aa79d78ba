// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_LAYER_RELOADER_H_
#define ATTEND_SERVER_LIFECYCLE_LAYER_RELOADER_H_

#include <functional>
#include <thread>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "core/layer/registry.h"
#include "server/config/server_config.h"
#include "server/telemetry/metrics.h"

namespace attend {

// Reads the files of the models again and replaces their layers in the registry, on a thread of its
// own. The layers of one model are replaced together, once each has been tried; a model that cannot
// be loaded, fails, or whose layers have another form, keeps the layers in service. While a model
// is loaded the process holds it twice; the old layers are freed when the last request that began
// with them ends.
class LayerReloader {
 public:
  // Computes something with a new layer, and warms it up by that; says what fails. Runs on the
  // reloader's thread.
  using TryLayer = std::function<absl::Status(const Layer& layer)>;

  // `registry` and `metrics` outlive the reloader.
  LayerReloader(const LayersConfig& config, LayerRegistry& registry, Metrics& metrics,
                TryLayer try_layer);

  // Waits for the model that is being loaded; those after it are left as they are.
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
  const TryLayer try_layer_;
  Mutex mutex_;
  CondVar changed_;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_LAYER_RELOADER_H_
