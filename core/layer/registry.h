// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_REGISTRY_H_
#define ATTEND_CORE_LAYER_REGISTRY_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/layer/layer.h"

namespace attend {

// The layers of a process by name. Filled at start by one thread, then only
// read, by any.
class LayerRegistry {
 public:
  // ALREADY_EXISTS where the name is taken.
  absl::Status Add(std::unique_ptr<const Layer> layer);

  // nullptr where there is none. Valid as long as the registry.
  const Layer* Find(absl::string_view name) const;

  // In order of name.
  const std::map<std::string, std::unique_ptr<const Layer>, std::less<>>& layers() const {
    return layers_;
  }

 private:
  std::map<std::string, std::unique_ptr<const Layer>, std::less<>> layers_;
};

}  // namespace attend

#endif  // ATTEND_CORE_LAYER_REGISTRY_H_
