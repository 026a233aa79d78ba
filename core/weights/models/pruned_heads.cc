// SPDX-License-Identifier: Apache-2.0
#include "core/weights/models/pruned_heads.h"

#include <cstdint>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"

namespace attend {

absl::StatusOr<PrunedHeads> ReadPrunedHeads(const ConfigReader& config, const ModelFamily& family,
                                            int64_t num_layers, int64_t num_heads) {
  PrunedHeads pruned;
  const Json* const found = config.Find("pruned_heads");
  if (found == nullptr || (found->is_object() && found->empty())) return pruned;
  if (!found->is_object()) return config.Error("\"pruned_heads\" is not an object");
  if (!family.prunable) {
    return config.Error(absl::StrCat("\"pruned_heads\" is not supported for model_type ",
                                     Quoted(family.model_type)));
  }
  for (const auto& item : found->items()) {
    int64_t layer = 0;
    if (!absl::SimpleAtoi(item.key(), &layer) || layer < 0 || layer >= num_layers ||
        !item.value().is_array()) {
      return config.Error(absl::StrCat("\"pruned_heads\": ", Quoted(item.key()),
                                       " is not a layer with a list of heads"));
    }
    std::set<int64_t>& heads = pruned[layer];
    for (const Json& element : item.value()) {
      const std::optional<int64_t> head = AsInt(element);
      if (!head.has_value() || *head >= num_heads || !heads.insert(*head).second) {
        return config.Error(absl::StrCat("\"pruned_heads\" of layer ", layer,
                                         " does not list distinct heads below ", num_heads));
      }
    }
    if (static_cast<int64_t>(heads.size()) == num_heads) {
      return config.Error(absl::StrCat("\"pruned_heads\" leaves layer ", layer, " without a head"));
    }
  }
  return pruned;
}

}  // namespace attend
