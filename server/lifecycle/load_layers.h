// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_LOAD_LAYERS_H_
#define ATTEND_SERVER_LIFECYCLE_LOAD_LAYERS_H_

#include "absl/status/status.h"
#include "core/layer/registry.h"
#include "server/config/server_config.h"

namespace attend {

// Loads what is configured into `registry` and logs one line per model and per random layer.
// Blocks. INVALID_ARGUMENT with one line per model and layer that cannot be had, which names the
// setting's value and what is wrong with it.
absl::Status LoadLayers(const LayersConfig& config, LayerRegistry& registry);

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_LOAD_LAYERS_H_
