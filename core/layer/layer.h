// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_LAYER_H_
#define ATTEND_CORE_LAYER_LAYER_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "core/layer/layer_config.h"
#include "core/layer/layer_item.h"
#include "core/layer/layer_weights.h"
#include "core/layer/norm_rotary.h"
#include "core/layer/relative_bias.h"
#include "core/linalg/linear.h"

namespace attend {

// Multi-head attention with its projections. Weights are packed once, when a layer is made;
// LayerBatch computes with it. Immutable, thread-safe.
class Layer {
 public:
  // INVALID_ARGUMENT if sizes do not fit the config, FAILED_PRECONDITION if this CPU cannot
  // compute in the requested type.
  static absl::StatusOr<std::unique_ptr<const Layer>> Create(LayerConfig config,
                                                             const LayerWeights& weights);

  const LayerConfig& config() const { return config_; }
  int64_t parameter_count() const { return parameter_count_; }
  bool has_query_bias() const { return has_query_bias_; }
  bool has_key_bias() const { return has_key_bias_; }
  bool has_value_bias() const { return has_value_bias_; }
  bool has_output_bias() const { return has_output_bias_; }

  // The cost of one sequence, from its lengths and options alone: floating-point operations, and
  // bytes of working memory beside inputs and outputs.
  double Flops(const AttentionParams& params, const SequenceArgs& sequence) const;
  int64_t WorkingBytes(const SequenceArgs& sequence, KeySource key_source) const;

  // The steps of the computation and their weights.
  const Linear& query() const { return *query_; }
  const Linear& key() const { return *key_; }
  const Linear& value() const { return *value_; }
  const Linear& output() const { return *output_; }
  const internal::NormRotary& norm_rotary() const { return norm_rotary_; }
  const std::optional<const internal::RelativeBias>& relative_bias() const {
    return relative_bias_;
  }

 private:
  Layer(LayerConfig config, const LayerWeights& weights);
  absl::Status MakeProjections(const LayerWeights& weights);

  const LayerConfig config_;
  const int64_t parameter_count_;
  const bool has_query_bias_, has_key_bias_, has_value_bias_, has_output_bias_;
  std::unique_ptr<const Linear> query_, key_, value_, output_;
  const internal::NormRotary norm_rotary_;
  std::optional<const internal::RelativeBias> relative_bias_;
};

}  // namespace attend

#endif  // ATTEND_CORE_LAYER_LAYER_H_
