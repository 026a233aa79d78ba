// SPDX-License-Identifier: Apache-2.0
#include "core/engine/warnings.h"

#include <cstdint>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"

namespace attend {
namespace {

// Whether options say, or may say by mask or bias, which keys a row reads.
bool LimitsLaterKeys(const CheckedRequest& checked) {
  const AttentionParams& params = checked.options.params;
  if (params.causal || params.window_right == int64_t{0}) return true;
  return absl::c_any_of(checked.shape.sequences, [](const SequenceArgs& sequence) {
    return sequence.mask.data != nullptr || sequence.bias.data != nullptr;
  });
}

// Whether the first row, which stands before all others, has keys after it.
bool HasLaterKeys(const SequenceArgs& sequence, bool positional) {
  const int64_t offset =
      positional ? sequence.query_offset : sequence.key_length - sequence.query_length;
  return sequence.query_length > 0 && offset + 1 < sequence.key_length;
}

}  // namespace

std::vector<std::string> FindWarnings(const LayerConfig& layer, const CheckedRequest& checked) {
  std::vector<std::string> warnings;
  if (!layer.place.has_value() || !layer.place->decoder || LimitsLaterKeys(checked)) {
    return warnings;
  }
  const bool positional = checked.options.positional;
  if (absl::c_any_of(checked.shape.sequences, [positional](const SequenceArgs& sequence) {
        return HasLaterKeys(sequence, positional);
      })) {
    warnings.push_back(absl::StrCat(
        "layer ", Quoted(layer.name),
        " belongs to a decoder, whose tokens read only themselves and the tokens before them, but "
        "some query rows of this request read keys after their own position; set options.causal"));
  }
  return warnings;
}

}  // namespace attend
