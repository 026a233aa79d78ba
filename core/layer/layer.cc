#include "core/layer/layer.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/layer/projected_layer.h"

namespace attend {
namespace {

// Widths beyond it are no layer; below it no product of two can overflow.
constexpr int64_t kMaxWidth = int64_t{1} << 24;

absl::Status CheckWidth(absl::string_view what, int64_t width) {
  if (width >= 1 && width <= kMaxWidth) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is ", width, ", it must be in 1..", kMaxWidth));
}

absl::Status CheckRotary(const RotaryConfig& rotary, int64_t head_dim) {
  const auto positive = [](double value) { return std::isfinite(value) && value > 0.0; };
  if (rotary.width < 2 || rotary.width % 2 != 0 || rotary.width > head_dim) {
    return absl::InvalidArgumentError(absl::StrCat("rotary width is ", rotary.width,
                                                   ", it must be even and in 2..", head_dim,
                                                   ", the width of a head"));
  }
  if (!positive(rotary.theta)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rotary theta is ", rotary.theta, ", it must be positive"));
  }
  if (rotary.scaling == RotaryConfig::Scaling::kNone) return absl::OkStatus();
  if (!positive(rotary.factor)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rotary factor is ", rotary.factor, ", it must be positive"));
  }
  if (rotary.scaling == RotaryConfig::Scaling::kLinear) return absl::OkStatus();
  if (!positive(rotary.low_frequency_factor) || !positive(rotary.high_frequency_factor) ||
      rotary.high_frequency_factor <= rotary.low_frequency_factor) {
    return absl::InvalidArgumentError(absl::StrCat(
        "rotary low and high frequency factors are ", rotary.low_frequency_factor, " and ",
        rotary.high_frequency_factor, ", they must be positive, the second greater"));
  }
  return CheckWidth("rotary original_max_position", rotary.original_max_position);
}

absl::Status CheckRelativeBias(const RelativeBiasConfig& relative) {
  // A number is kept for each distance; models have 32 buckets up to 128.
  constexpr int64_t kMaxDistance = 1 << 16;
  const int64_t buckets = relative.bidirectional ? relative.buckets / 2 : relative.buckets;
  if (buckets < 2 || (relative.bidirectional && relative.buckets % 2 != 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("relative bias has ", relative.buckets, " buckets, it must have ",
                     relative.bidirectional ? "an even number, at least 4" : "at least 2"));
  }
  if (relative.max_distance <= buckets / 2 || relative.max_distance > kMaxDistance) {
    return absl::InvalidArgumentError(absl::StrCat(
        "relative bias has max_distance ", relative.max_distance, ", it must be greater than the ",
        buckets / 2, " distances with a bucket of their own and at most ", kMaxDistance));
  }
  return absl::OkStatus();
}

absl::Status CheckConfig(const LayerConfig& config) {
  ATTEND_RETURN_IF_ERROR(CheckWidth("embed_dim", config.embed_dim));
  ATTEND_RETURN_IF_ERROR(CheckWidth("key_dim", config.key_dim));
  ATTEND_RETURN_IF_ERROR(CheckWidth("value_dim", config.value_dim));
  ATTEND_RETURN_IF_ERROR(CheckWidth("num_heads", config.num_heads));
  ATTEND_RETURN_IF_ERROR(CheckWidth("num_kv_heads", config.num_kv_heads));
  ATTEND_RETURN_IF_ERROR(CheckWidth("head_dim", config.head_dim));
  ATTEND_RETURN_IF_ERROR(CheckWidth("value_head_dim", config.value_head_dim));
  ATTEND_RETURN_IF_ERROR(CheckWidth("num_heads * head_dim", config.num_heads * config.head_dim));
  ATTEND_RETURN_IF_ERROR(
      CheckWidth("num_heads * value_head_dim", config.num_heads * config.value_head_dim));
  if (config.num_heads % config.num_kv_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat("num_heads is ", config.num_heads,
                                                   ", not a multiple of num_kv_heads, ",
                                                   config.num_kv_heads));
  }
  if (!std::isfinite(config.scale)) return absl::InvalidArgumentError("scale is not finite");
  if (config.query_key_norm && !(config.norm_epsilon >= 0.0 && config.norm_epsilon < 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("norm_epsilon is ", config.norm_epsilon, ", it must be in [0, 1)"));
  }
  if (config.rotary.has_value()) {
    ATTEND_RETURN_IF_ERROR(CheckRotary(*config.rotary, config.head_dim));
  }
  if (config.relative_bias.has_value()) {
    ATTEND_RETURN_IF_ERROR(CheckRelativeBias(*config.relative_bias));
  }
  if (!(std::isfinite(config.softcap) && config.softcap >= 0)) {
    return absl::InvalidArgumentError("softcap is not finite and >= 0");
  }
  if (config.window_left.value_or(0) < 0 || config.window_right.value_or(0) < 0) {
    return absl::InvalidArgumentError("a window is negative");
  }
  return absl::OkStatus();
}

absl::Status CheckMatrix(absl::string_view what, const std::vector<float>& weight,
                         const std::vector<float>& bias, int64_t outputs, int64_t inputs) {
  if (weight.size() != static_cast<size_t>(outputs * inputs)) {
    return absl::InvalidArgumentError(absl::StrCat(what, " weight has ", weight.size(),
                                                   " elements, the layer needs [", outputs, ", ",
                                                   inputs, "]"));
  }
  if (!bias.empty() && bias.size() != static_cast<size_t>(outputs)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " bias has ", bias.size(), " elements, the layer needs ", outputs));
  }
  return absl::OkStatus();
}

absl::Status CheckCount(absl::string_view what, const std::vector<float>& values, int64_t count) {
  if (values.size() == static_cast<size_t>(count)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " has ", values.size(), " elements, the layer needs ", count));
}

absl::Status CheckWeights(const LayerConfig& c, const LayerWeights& w) {
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

}  // namespace

absl::StatusOr<std::unique_ptr<const Layer>> Layer::Create(LayerConfig config,
                                                           const LayerWeights& weights) {
  ATTEND_RETURN_IF_ERROR(CheckConfig(config));
  ATTEND_RETURN_IF_ERROR(CheckWeights(config, weights));
  const DataType type =
      config.compute == ComputeType::kBFloat16 ? DataType::kBFloat16 : DataType::kFloat32;
  const int64_t keys = config.num_kv_heads * config.head_dim;
  const int64_t values = config.num_kv_heads * config.value_head_dim;
  const int64_t queries = config.num_heads * config.head_dim;
  const int64_t context = config.num_heads * config.value_head_dim;
  internal::Projections projections;
  ATTEND_ASSIGN_OR_RETURN(
      projections.query,
      Linear::Create({config.embed_dim, queries, type}, weights.query_weight, weights.query_bias));
  ATTEND_ASSIGN_OR_RETURN(projections.key, Linear::Create({config.key_dim, keys, type},
                                                          weights.key_weight, weights.key_bias));
  ATTEND_ASSIGN_OR_RETURN(
      projections.value,
      Linear::Create({config.value_dim, values, type}, weights.value_weight, weights.value_bias));
  ATTEND_ASSIGN_OR_RETURN(projections.output,
                          Linear::Create({context, config.embed_dim, type}, weights.output_weight,
                                         weights.output_bias));
  projections.has_query_bias = !weights.query_bias.empty();
  projections.has_key_bias = !weights.key_bias.empty();
  projections.has_value_bias = !weights.value_bias.empty();
  projections.has_output_bias = !weights.output_bias.empty();
  projections.parameters = static_cast<int64_t>(
      weights.query_weight.size() + weights.query_bias.size() + weights.key_weight.size() +
      weights.key_bias.size() + weights.value_weight.size() + weights.value_bias.size() +
      weights.output_weight.size() + weights.output_bias.size() + weights.query_norm.size() +
      weights.key_norm.size() + weights.relative_bias.size());
  return std::unique_ptr<const Layer>(
      new internal::ProjectedLayer(std::move(config), std::move(projections), weights));
}

}  // namespace attend
