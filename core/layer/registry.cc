// SPDX-License-Identifier: Apache-2.0
#include "core/layer/registry.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/layer/layer_rates.h"

namespace attend {
namespace {

// Whether one layer takes every request that the other takes, and is predicted to take as long.
bool HaveSameForm(const Layer& a, const Layer& b) {
  const LayerConfig& x = a.config();
  const LayerConfig& y = b.config();
  return x.embed_dim == y.embed_dim && x.key_dim == y.key_dim && x.value_dim == y.value_dim &&
         x.num_heads == y.num_heads && x.num_kv_heads == y.num_kv_heads &&
         x.head_dim == y.head_dim && x.value_head_dim == y.value_head_dim &&
         x.compute == y.compute && HaveSameRates(a, b);
}

}  // namespace

absl::Status LayerRegistry::Add(std::unique_ptr<const Layer> layer) {
  const std::string name = layer->config().name;
  const MutexLock lock(mutex_);
  if (!layers_.emplace(name, Entry{std::move(layer)}).second) {
    return absl::AlreadyExistsError(absl::StrCat("there is already a layer named ", name));
  }
  return absl::OkStatus();
}

absl::Status LayerRegistry::Replace(std::vector<std::unique_ptr<const Layer>> layers) {
  std::vector<std::shared_ptr<const Layer>> replaced;  // freed without the mutex
  const MutexLock lock(mutex_);
  for (const std::unique_ptr<const Layer>& layer : layers) {
    const auto found = layers_.find(layer->config().name);
    if (found == layers_.end()) {
      return absl::FailedPreconditionError(
          absl::StrCat("layer ", layer->config().name, " is new: its name is not in service"));
    }
    if (!HaveSameForm(*layer, *found->second.layer)) {
      return absl::FailedPreconditionError(
          absl::StrCat("layer ", layer->config().name,
                       " differs in its widths, heads or types from the one in service"));
    }
  }
  replaced.reserve(layers.size());
  for (std::unique_ptr<const Layer>& layer : layers) {
    Entry& entry = layers_.find(layer->config().name)->second;
    replaced.push_back(std::exchange(entry.layer, std::move(layer)));
    ++entry.generation;
  }
  return absl::OkStatus();
}

std::shared_ptr<const Layer> LayerRegistry::Find(absl::string_view name) const {
  const MutexLock lock(mutex_);
  const auto found = layers_.find(name);
  return found == layers_.end() ? nullptr : found->second.layer;
}

LayerRegistry::Layers LayerRegistry::layers() const {
  const MutexLock lock(mutex_);
  return layers_;
}

}  // namespace attend
