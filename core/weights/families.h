#ifndef ATTEND_CORE_WEIGHTS_FAMILIES_H_
#define ATTEND_CORE_WEIGHTS_FAMILIES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attend {

// How families of models name their sizes in config.json and their attention
// tensors in a checkpoint, and what their attention is beyond that.

// Attentions of one kind, one in each block of a model. Its tensors are
// [prefix.]BLOCKS.INDEX.ATTENTION<projection>.{weight,bias}, its layers are named
// MODEL/<name>INDEX<suffix>.
struct LayerStack {
  // The bias is that of block 0; the model hands it on to the blocks after it.
  enum class Relative { kNone, kBothWays, kBackward };

  absl::string_view num_layers;  // key in config.json
  absl::string_view blocks;
  absl::string_view attention = {};
  absl::string_view name = {}, suffix = {};
  bool optional = false;  // some files hold no attention of these blocks
  Relative relative = Relative::kNone;
  absl::string_view num_layers_default = {};  // another key, where the first is absent
};

struct ModelFamily {
  enum class Biases { kAll, kNone, kQueryKeyValue, kConfigured };  // by attention_bias
  enum class Scale { kHeadDim, kOne, kQueryPreAttentionScalar, kGpt2 };
  enum class Rotary { kNone, kHalfSplit, kInterleaved };
  // Which layers have sliding_window where layer_types does not say: none ever
  // (there is no such key), all, every other one from the first on, or those
  // from max_window_layers on if use_sliding_window.
  enum class Window { kNone, kAll, kAlternating, kUpper };

  absl::string_view model_type;              // in config.json
  absl::string_view hidden_size, num_heads;  // keys in config.json
  absl::string_view prefix;                  // is there or not, depending on the class that saved
  absl::Span<const LayerStack> stacks;
  // Without key: query's tensor holds query, key and value, stacked.
  absl::string_view query, key = {}, value = {}, output;
  // Keys in config.json; empty: as many as query's, hidden_size / num_heads.
  absl::string_view num_kv_heads = {}, head_dim = {};
  bool head_dim_needed = false;  // where the family's default is another one
  Biases biases = Biases::kAll;
  Scale scale = Scale::kHeadDim;
  Rotary rotary = Rotary::kNone;
  absl::string_view rotary_width = {};  // key in config.json; empty: by a factor
  double partial_rotary_factor = 1.0;   // default of that key; 1: none other is known
  Window window = Window::kNone;
  absl::string_view softcap = {};                    // key in config.json
  absl::string_view query_norm = {}, key_norm = {};  // tensors
  bool transposed = false;                           // weights are [in, out]
  bool prunable = false;                             // config.json may list pruned_heads
};

absl::Span<const ModelFamily> ModelFamilies();

// nullptr where it is not known.
const ModelFamily* FindModelFamily(absl::string_view model_type);

// "bert, camembert, ..."
std::string KnownModelTypes();

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_FAMILIES_H_
