// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_REGISTRY_H_
#define ATTEND_CORE_LAYER_REGISTRY_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/natural_order.h"
#include "core/layer/layer.h"

namespace attend {

// The layers of a process by name. One thread fills it at start; afterwards any thread may read
// it.
class LayerRegistry {
 public:
  // ALREADY_EXISTS if the name is taken.
  absl::Status Add(std::unique_ptr<const Layer> layer);

  // nullptr if no layer has this name. The pointer is valid as long as the registry.
  const Layer* Find(absl::string_view name) const;

  // The layers in the natural order of their names.
  using Layers = std::map<std::string, std::unique_ptr<const Layer>, NaturalOrder>;
  const Layers& layers() const { return layers_; }

 private:
  Layers layers_;
};

}  // namespace attend

#endif  // ATTEND_CORE_LAYER_REGISTRY_H_
