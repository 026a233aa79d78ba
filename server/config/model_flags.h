// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_MODEL_FLAGS_H_
#define ATTEND_SERVER_CONFIG_MODEL_FLAGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/weights/layer_source.h"
#include "core/weights/random_layer.h"

namespace attend {

// The values of --model and --random-layer:
//
//   NAME=PATH, NAME=PATH:num_heads=12,compute=bf16
//   NAME:embed_dim=768,num_heads=12, NAME:embed_dim=768,num_heads=12,seed=1,qk_norm=on,...
//
// NAME has 1 to 128 letters, digits, '.', '_', '-' or '/', and does not start or end with '/'.
// The options are the fields of the specs; those of the rotary embedding are rotary_dim,
// rotary_theta and rotary_interleaved, and any of them turns it on. Errors are INVALID_ARGUMENT
// and name the wrong part and what is allowed.
absl::StatusOr<ModelSpec> ParseModelSpec(absl::string_view text);
absl::StatusOr<RandomLayerSpec> ParseRandomLayerSpec(absl::string_view text);

// The inverse: a text that parses to an equal spec. Options that follow from others are left out.
std::string FormatModelSpec(const ModelSpec& spec);
std::string FormatRandomLayerSpec(const RandomLayerSpec& spec);

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_MODEL_FLAGS_H_
