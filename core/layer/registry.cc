// SPDX-License-Identifier: Apache-2.0
#include "core/layer/registry.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace attend {

absl::Status LayerRegistry::Add(std::unique_ptr<const Layer> layer) {
  const std::string name = layer->config().name;
  if (!layers_.emplace(name, std::move(layer)).second) {
    return absl::AlreadyExistsError(absl::StrCat("there is already a layer named ", name));
  }
  return absl::OkStatus();
}

const Layer* LayerRegistry::Find(absl::string_view name) const {
  const auto found = layers_.find(name);
  return found == layers_.end() ? nullptr : found->second.get();
}

}  // namespace attend
