// SPDX-License-Identifier: Apache-2.0
#include "core/layer/layer_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
namespace {

// No layer is wider; below this limit no product of two widths overflows.
constexpr int64_t kMaxWidth = int64_t{1} << 24;

absl::Status CheckWidth(absl::string_view what, int64_t width) {
  if (width >= 1 && width <= kMaxWidth) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is ", width, "; it must be in 1..", kMaxWidth));
}

absl::Status CheckRotary(const RotaryConfig& rotary, int64_t head_dim) {
  const auto positive = [](double value) { return std::isfinite(value) && value > 0.0; };
  if (rotary.width < 2 || rotary.width % 2 != 0 || rotary.width > head_dim) {
    return absl::InvalidArgumentError(absl::StrCat("rotary width is ", rotary.width,
                                                   "; it must be even and in 2..", head_dim,
                                                   ", the width of a head"));
  }
  if (!positive(rotary.theta)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rotary theta is ", rotary.theta, "; it must be positive"));
  }
  if (rotary.scaling == RotaryConfig::Scaling::kNone) return absl::OkStatus();
  if (!positive(rotary.factor)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rotary factor is ", rotary.factor, "; it must be positive"));
  }
  if (rotary.scaling == RotaryConfig::Scaling::kLinear) return absl::OkStatus();
  if (!positive(rotary.low_frequency_factor) || !positive(rotary.high_frequency_factor) ||
      rotary.high_frequency_factor <= rotary.low_frequency_factor) {
    return absl::InvalidArgumentError(absl::StrCat(
        "rotary low and high frequency factors are ", rotary.low_frequency_factor, " and ",
        rotary.high_frequency_factor, "; they must be positive, the second greater"));
  }
  return CheckWidth("rotary original_max_position", rotary.original_max_position);
}

absl::Status CheckRelativeBias(const RelativeBiasConfig& relative) {
  // The bias is kept per distance; models have 32 buckets up to distance 128.
  constexpr int64_t kMaxDistance = 1 << 16;
  const int64_t buckets = relative.bidirectional ? relative.buckets / 2 : relative.buckets;
  if (buckets < 2 || (relative.bidirectional && relative.buckets % 2 != 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("relative bias has ", relative.buckets, " buckets; it must have ",
                     relative.bidirectional ? "an even number, at least 4" : "at least 2"));
  }
  if (relative.max_distance <= buckets / 2 || relative.max_distance > kMaxDistance) {
    return absl::InvalidArgumentError(absl::StrCat(
        "relative bias has max_distance ", relative.max_distance, "; it must be greater than the ",
        buckets / 2, " distances with a bucket of their own and at most ", kMaxDistance));
  }
  return absl::OkStatus();
}

// Checks heads and widths.
absl::Status CheckShape(const LayerConfig& config) {
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
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckLayerConfig(const LayerConfig& config) {
  ATTEND_RETURN_IF_ERROR(CheckShape(config));
  if (!std::isfinite(config.scale)) return absl::InvalidArgumentError("scale must be finite");
  if (config.query_key_norm && !(config.norm_epsilon >= 0.0 && config.norm_epsilon < 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("norm_epsilon is ", config.norm_epsilon, "; it must be in [0, 1)"));
  }
  if (config.rotary.has_value()) {
    ATTEND_RETURN_IF_ERROR(CheckRotary(*config.rotary, config.head_dim));
  }
  if (config.relative_bias.has_value()) {
    ATTEND_RETURN_IF_ERROR(CheckRelativeBias(*config.relative_bias));
  }
  if (!(std::isfinite(config.softcap) && config.softcap >= 0)) {
    return absl::InvalidArgumentError("softcap must be finite and >= 0");
  }
  if (config.window_left.value_or(0) < 0 || config.window_right.value_or(0) < 0) {
    return absl::InvalidArgumentError("windows must be >= 0");
  }
  return absl::OkStatus();
}

}  // namespace attend
