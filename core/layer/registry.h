// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_REGISTRY_H_
#define ATTEND_CORE_LAYER_REGISTRY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/mutex.h"
#include "core/base/natural_order.h"
#include "core/layer/layer.h"

namespace attend {

// The layers of a process by name. Thread-safe. Names are only added; the layer of a name can be
// replaced while others use the one before, which lives until the last of them lets go of it.
class LayerRegistry {
 public:
  struct Entry {
    std::shared_ptr<const Layer> layer;
    int64_t generation = 1;  // 1 more with each replacement
  };

  // ALREADY_EXISTS if the name is taken.
  absl::Status Add(std::unique_ptr<const Layer> layer);

  // Replaces the layers of the same names, all of them at once or, after an error, none.
  // FAILED_PRECONDITION that names the layer if there is none of its name, or if it differs from it
  // in widths, heads or types, on which callers and predictions rely.
  absl::Status Replace(std::vector<std::unique_ptr<const Layer>> layers);

  // nullptr if no layer has this name.
  std::shared_ptr<const Layer> Find(absl::string_view name) const;

  // The layers as they are now, in the natural order of their names.
  using Layers = std::map<std::string, Entry, NaturalOrder>;
  Layers layers() const;

 private:
  mutable Mutex mutex_;
  Layers layers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attend

#endif  // ATTEND_CORE_LAYER_REGISTRY_H_
