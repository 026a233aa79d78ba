// SPDX-License-Identifier: Apache-2.0
#include "core/layer/layer.h"

#include <utility>

#include "core/attention/cost.h"
#include "core/base/status.h"
#include "core/linalg/create_linear.h"

namespace attend {

Layer::Layer(LayerConfig config, const LayerWeights& weights)
    : config_(std::move(config)),
      parameter_count_(CountParameters(weights)),
      has_query_bias_(!weights.query_bias.empty()),
      has_key_bias_(!weights.key_bias.empty()),
      has_value_bias_(!weights.value_bias.empty()),
      has_output_bias_(!weights.output_bias.empty()),
      norm_rotary_(config_, weights) {
  if (!config_.relative_bias.has_value()) return;
  relative_bias_.emplace(*config_.relative_bias, config_.num_heads, weights.relative_bias);
}

absl::Status Layer::MakeProjections(const LayerWeights& weights) {
  const LayerConfig& c = config_;
  const DataType type = c.compute_type();
  ATTEND_ASSIGN_OR_RETURN(query_,
                          CreateLinear({c.embed_dim, c.num_heads * c.head_dim, type, c.matmul},
                                       weights.query_weight, weights.query_bias));
  ATTEND_ASSIGN_OR_RETURN(key_,
                          CreateLinear({c.key_dim, c.num_kv_heads * c.head_dim, type, c.matmul},
                                       weights.key_weight, weights.key_bias));
  ATTEND_ASSIGN_OR_RETURN(
      value_, CreateLinear({c.value_dim, c.num_kv_heads * c.value_head_dim, type, c.matmul},
                           weights.value_weight, weights.value_bias));
  ATTEND_ASSIGN_OR_RETURN(
      output_, CreateLinear({c.num_heads * c.value_head_dim, c.embed_dim, type, c.matmul},
                            weights.output_weight, weights.output_bias));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<const Layer>> Layer::Create(LayerConfig config,
                                                           const LayerWeights& weights) {
  ATTEND_RETURN_IF_ERROR(CheckLayerConfig(config));
  ATTEND_RETURN_IF_ERROR(CheckLayerWeights(config, weights));
  std::unique_ptr<Layer> layer(new Layer(std::move(config), weights));
  ATTEND_RETURN_IF_ERROR(layer->MakeProjections(weights));
  return layer;
}

double Layer::Flops(const AttentionParams& params, const SequenceArgs& sequence) const {
  const auto multiply_adds = [](const Linear& linear, int64_t rows) {
    return static_cast<double>(rows) * static_cast<double>(linear.config().inputs) *
           static_cast<double>(linear.config().outputs);
  };
  const int64_t rows = sequence.query_length, keys = sequence.key_length;
  return AttentionFlops(config_.heads(), params, sequence) +
         2.0 * (multiply_adds(*query_, rows) + multiply_adds(*key_, keys) +
                multiply_adds(*value_, keys) + multiply_adds(*output_, rows));
}

int64_t Layer::WorkingBytes(const SequenceArgs& sequence, KeySource key_source) const {
  const LayerConfig& c = config_;
  const auto element = static_cast<int64_t>(ElementSize(c.compute_type()));
  constexpr int64_t kPointer = sizeof(void*);
  // Per query row: the input, the query, the context and the output in float32, each with the
  // address of its row.
  const int64_t per_query_row =
      element * (c.embed_dim + c.num_heads * (c.head_dim + c.value_head_dim)) +
      static_cast<int64_t>(sizeof(float)) * c.embed_dim + 4 * kPointer;
  // Per key row: the key and the value; rows of their own also have their inputs.
  int64_t per_key_row = element * c.num_kv_heads * (c.head_dim + c.value_head_dim) + 2 * kPointer;
  if (key_source == KeySource::kOwnRows) {
    per_key_row += element * (c.key_dim + c.value_dim) + 2 * kPointer;
  }
  int64_t bytes = sequence.query_length * per_query_row + sequence.key_length * per_key_row;
  if (relative_bias_.has_value()) {
    bytes += relative_bias_->CountElements(sequence) * static_cast<int64_t>(sizeof(float));
  }
  return bytes;
}

}  // namespace attend
