// SPDX-License-Identifier: Apache-2.0
#include "core/engine/layer_runners.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace attend {

LayerRunners MakeLayerRunners(const LayerRegistry& layers, std::deque<ExecutionContext>& contexts) {
  LayerRunners runners;
  std::vector<std::pair<std::shared_ptr<const Layer>, LayerRates>> measured;
  for (const auto& [name, entry] : layers.layers()) {
    // Layers of one model have the same projections, which are measured once.
    const auto found = std::find_if(
        measured.begin(), measured.end(),
        [&layer = *entry.layer](const auto& each) { return HaveSameRates(layer, *each.first); });
    const LayerRates rates =
        found != measured.end() ? found->second : MeasureLayer(*entry.layer, contexts.front());
    if (found == measured.end()) measured.emplace_back(entry.layer, rates);
    runners.try_emplace(name, rates, contexts);
  }
  return runners;
}

}  // namespace attend
