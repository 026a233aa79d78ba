// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_MODELS_ROTARY_CONFIG_H_
#define ATTEND_CORE_WEIGHTS_MODELS_ROTARY_CONFIG_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "core/layer/layer_config.h"
#include "core/weights/models/config_reader.h"
#include "core/weights/models/families.h"

namespace attend {

// Reads the rotary embedding of a family that has one. Older files have rope_theta and
// rope_scaling among the other keys; newer ones have everything in rope_parameters. An absent
// rope_theta is 10000 in all families.
// INVALID_ARGUMENT for a scaling that a layer does not have, and for settings that contradict
// each other. Pure, thread-safe.
absl::StatusOr<RotaryConfig> ReadRotaryConfig(const ConfigReader& config, const ModelFamily& family,
                                              int64_t head_dim);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_MODELS_ROTARY_CONFIG_H_
