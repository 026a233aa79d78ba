// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_OPTIONS_H_
#define ATTEND_CORE_ATTENTION_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "core/tensor/tensor.h"

namespace attend {

enum class Alignment { kUnspecified, kStart, kEnd };
enum class WeightsOutput { kNone, kPerHead, kMean };
enum class WeightsStage { kProbabilities, kScaled, kSoftcapped, kBiased };

// The caller's options, as attend.v1.AttentionOptions documents them. They are unchecked:
// core/attention/resolve_options.h checks them and resolves them against shapes.
struct AttentionOptions {
  std::optional<float> scale;
  bool causal = false;
  Alignment alignment = Alignment::kUnspecified;
  std::vector<int64_t> query_offsets;
  std::optional<int64_t> window_left, window_right;
  std::optional<float> softcap;
  std::optional<Tensor> bias;
  std::optional<Tensor> mask;
  std::optional<Tensor> alibi_slopes;
  std::vector<float> sinks;       // empty: none
  std::vector<float> head_gates;  // empty: all 1
  WeightsOutput weights = WeightsOutput::kNone;
  WeightsStage weights_stage = WeightsStage::kProbabilities;
  bool log_sum_exp = false;
};

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_OPTIONS_H_
