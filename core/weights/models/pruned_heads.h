// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_MODELS_PRUNED_HEADS_H_
#define ATTEND_CORE_WEIGHTS_MODELS_PRUNED_HEADS_H_

#include <cstdint>
#include <map>
#include <set>

#include "absl/status/statusor.h"
#include "core/weights/models/config_reader.h"
#include "core/weights/models/families.h"

namespace attend {

// Per layer that lacks some, the heads that were pruned, as numbered before pruning.
using PrunedHeads = std::map<int64_t, std::set<int64_t>>;

// Reads "pruned_heads": {"LAYER": [HEAD, ...]}, and nothing where the key is missing.
// INVALID_ARGUMENT for a family that cannot be pruned, for layers and heads that do not exist
// or stand there twice, and for a layer without a head left. Pure, thread-safe.
absl::StatusOr<PrunedHeads> ReadPrunedHeads(const ConfigReader& config, const ModelFamily& family,
                                            int64_t num_layers, int64_t num_heads);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_MODELS_PRUNED_HEADS_H_
