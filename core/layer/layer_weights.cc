// SPDX-License-Identifier: Apache-2.0
#include "core/layer/layer_weights.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
namespace {

absl::Status CheckMatrix(absl::string_view what, const std::vector<float>& weight,
                         const std::vector<float>& bias, int64_t outputs, int64_t inputs) {
  if (weight.size() != static_cast<size_t>(outputs * inputs)) {
    return absl::InvalidArgumentError(absl::StrCat(what, " weight has ", weight.size(),
                                                   " elements; the layer needs [", outputs, ", ",
                                                   inputs, "]"));
  }
  if (!bias.empty() && bias.size() != static_cast<size_t>(outputs)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " bias has ", bias.size(), " elements; the layer needs ", outputs));
  }
  return absl::OkStatus();
}

absl::Status CheckCount(absl::string_view what, const std::vector<float>& values, int64_t count) {
  if (values.size() == static_cast<size_t>(count)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " has ", values.size(), " elements; the layer needs ", count));
}

}  // namespace

absl::Status CheckLayerWeights(const LayerConfig& c, const LayerWeights& w) {
  const int64_t keys = c.num_kv_heads * c.head_dim;
  const int64_t values = c.num_kv_heads * c.value_head_dim;
  ATTEND_RETURN_IF_ERROR(
      CheckMatrix("query", w.query_weight, w.query_bias, c.num_heads * c.head_dim, c.embed_dim));
  ATTEND_RETURN_IF_ERROR(CheckMatrix("key", w.key_weight, w.key_bias, keys, c.key_dim));
  ATTEND_RETURN_IF_ERROR(CheckMatrix("value", w.value_weight, w.value_bias, values, c.value_dim));
  ATTEND_RETURN_IF_ERROR(CheckMatrix("output", w.output_weight, w.output_bias, c.embed_dim,
                                     c.num_heads * c.value_head_dim));
  const int64_t norm = c.query_key_norm ? c.head_dim : 0;
  ATTEND_RETURN_IF_ERROR(CheckCount("query norm", w.query_norm, norm));
  ATTEND_RETURN_IF_ERROR(CheckCount("key norm", w.key_norm, norm));
  return CheckCount("relative bias", w.relative_bias,
                    c.relative_bias.has_value() ? c.relative_bias->buckets * c.num_heads : 0);
}

int64_t CountParameters(const LayerWeights& weights) {
  int64_t count = 0;
  for (const std::vector<float>* part :
       {&weights.query_weight, &weights.query_bias, &weights.key_weight, &weights.key_bias,
        &weights.value_weight, &weights.value_bias, &weights.output_weight, &weights.output_bias,
        &weights.query_norm, &weights.key_norm, &weights.relative_bias}) {
    count += static_cast<int64_t>(part->size());
  }
  return count;
}

}  // namespace attend
