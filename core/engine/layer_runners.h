// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_LAYER_RUNNERS_H_
#define ATTEND_CORE_ENGINE_LAYER_RUNNERS_H_

#include <deque>
#include <functional>
#include <map>
#include <string>

#include "core/engine/layer_operation.h"
#include "core/exec/execution_context.h"
#include "core/layer/registry.h"

namespace attend {

// The runners of all layers, keyed by the layer's name.
using LayerRunners = std::map<std::string, LayerRunner, std::less<>>;

// Makes one runner per layer of the registry and measures the layers' rates on the first context.
// `contexts` has one per lane and outlives the runners. Blocks for some milliseconds per kind of
// layer.
LayerRunners MakeLayerRunners(const LayerRegistry& layers, std::deque<ExecutionContext>& contexts);

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_LAYER_RUNNERS_H_
