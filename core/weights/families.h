#ifndef ATTEND_CORE_WEIGHTS_FAMILIES_H_
#define ATTEND_CORE_WEIGHTS_FAMILIES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attend {

// How a family of models names its sizes in config.json and its attention
// tensors in a checkpoint. A tensor is
// [prefix.]layers.INDEX.projection.{weight,bias}; the prefix is there or not,
// depending on which of the family's classes saved the file. Every projection
// has a bias, every head its own key and value.
struct ModelFamily {
  absl::string_view model_type;                          // in config.json
  absl::string_view hidden_size, num_heads, num_layers;  // keys in config.json
  absl::string_view prefix;
  absl::string_view layers;
  absl::string_view query, key, value, output;
};

absl::Span<const ModelFamily> ModelFamilies();

// nullptr where it is not known.
const ModelFamily* FindModelFamily(absl::string_view model_type);

// "bert, camembert, ..."
std::string KnownModelTypes();

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_FAMILIES_H_
