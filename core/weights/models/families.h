// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_MODELS_FAMILIES_H_
#define ATTEND_CORE_WEIGHTS_MODELS_FAMILIES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attend {

// A model family is a model_type of Hugging Face transformers. This table says how each family
// names its sizes in config.json and its attention tensors in a checkpoint, and how its
// attention differs from the plain one.

// The attentions of one kind in a model, one per block. The tensors of block INDEX are named
// [prefix.]BLOCKS.INDEX.ATTENTION<projection>.{weight,bias}, and its layer is named
// MODEL/<name>INDEX<suffix>.
struct LayerStack {
  // Relative position bias. Block 0 holds the parameters, and the model passes the bias on to
  // the other blocks. kBackward is for stacks whose attention is causal.
  enum class Relative { kNone, kBothWays, kBackward };

  absl::string_view num_layers;  // key in config.json
  absl::string_view blocks;
  absl::string_view attention = {};
  absl::string_view name = {}, suffix = {};
  absl::string_view title = {};  // ModelPlace::stack
  bool decoder = false;          // ModelPlace::decoder
  bool optional = false;         // a checkpoint may lack all attentions of these blocks
  Relative relative = Relative::kNone;
  absl::string_view num_layers_default = {};  // the key to read if num_layers is absent
};

struct ModelFamily {
  // Which projections add a bias; kConfigured: all or none, as attention_bias says.
  enum class Biases { kAll, kNone, kQueryKeyValue, kConfigured };
  enum class Scale { kHeadDim, kOne, kQueryPreAttentionScalar, kGpt2 };
  enum class Rotary { kNone, kHalfSplit, kInterleaved };
  // Which layers apply sliding_window if config.json has no layer_types. kNone: no layer, and
  // the key is refused; kAll: every layer; kAlternating: layers 0, 2, 4, ...; kUpper: layers
  // from max_window_layers on if use_sliding_window is true.
  enum class Window { kNone, kAll, kAlternating, kUpper };

  absl::string_view model_type;              // value in config.json
  absl::string_view hidden_size, num_heads;  // keys in config.json
  // Some model classes put this in front of every tensor's name, others do not.
  absl::string_view prefix;
  absl::Span<const LayerStack> stacks;
  // Names of the projections. If key is empty, one tensor, named by query, holds query, key
  // and value stacked.
  absl::string_view query, key = {}, value = {}, output;
  // Keys in config.json. If empty, num_kv_heads is num_heads, and head_dim is
  // hidden_size / num_heads.
  absl::string_view num_kv_heads = {}, head_dim = {};
  bool head_dim_needed = false;  // the family has another default, so the key must be present
  Biases biases = Biases::kAll;
  Scale scale = Scale::kHeadDim;
  Rotary rotary = Rotary::kNone;
  // Key in config.json for the number of rotated features per head. If empty, the number is
  // head_dim * partial_rotary_factor.
  absl::string_view rotary_width = {};
  // Default of the key of that name. With a default of 1, no other value is accepted.
  double partial_rotary_factor = 1.0;
  // config.json cannot change theta or scale positions: the model classes ignore such keys.
  bool fixed_rotary = false;
  Window window = Window::kNone;
  absl::string_view softcap = {};                    // key in config.json; empty: no softcap
  absl::string_view query_norm = {}, key_norm = {};  // names of tensors; empty: no norm
  absl::string_view decoder = {};  // key in config.json of a flag that makes all stacks decoders
  bool transposed = false;         // weights are stored as [in, out]
  bool prunable = false;           // config.json may list pruned_heads
};

absl::Span<const ModelFamily> ModelFamilies();

// nullptr if no family has this model_type.
const ModelFamily* FindModelFamily(absl::string_view model_type);

// "bert, camembert, ..."
std::string KnownModelTypes();

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_MODELS_FAMILIES_H_
