// SPDX-License-Identifier: Apache-2.0
#include "core/weights/random_layer.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/sha256.h"
#include "core/base/status.h"

namespace attend {
namespace {

constexpr int64_t kMaxDim = int64_t{1} << 20;  // keeps every product of sizes below 2^63
constexpr int64_t kMaxParameters = int64_t{1} << 30;

// The generator that random_layer.h defines.
class Stream {
 public:
  explicit Stream(uint64_t seed) : state_(seed) {}

  std::vector<float> Draw(int64_t count, float bound) {
    std::vector<float> values;
    values.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      const auto u = static_cast<float>(Next() >> 40) * 0x1p-24f;
      values.push_back(bound * (2.0f * u - 1.0f));
    }
    return values;
  }

 private:
  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  uint64_t state_;
};

// Checks the sizes and replaces those that are 0 by their defaults.
absl::StatusOr<RandomLayerSpec> ResolveSizes(RandomLayerSpec spec) {
  const auto error = [&spec](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("random layer ", spec.name, ": ", what));
  };
  if (spec.embed_dim < 1 || spec.embed_dim > kMaxDim)
    return error(absl::StrCat("embed_dim is not from 1 to ", kMaxDim));
  if (spec.num_heads < 1 || spec.num_heads > kMaxDim)
    return error(absl::StrCat("num_heads is not from 1 to ", kMaxDim));
  if (spec.num_kv_heads == 0) spec.num_kv_heads = spec.num_heads;
  if (spec.num_kv_heads < 0 || spec.num_heads % spec.num_kv_heads != 0) {
    return error(absl::StrCat("num_heads=", spec.num_heads,
                              " is not a multiple of num_kv_heads=", spec.num_kv_heads));
  }
  if (spec.head_dim == 0) {
    if (spec.embed_dim % spec.num_heads != 0) {
      return error(absl::StrCat("embed_dim=", spec.embed_dim, " is not a multiple of num_heads=",
                                spec.num_heads, "; head_dim must be given"));
    }
    spec.head_dim = spec.embed_dim / spec.num_heads;
  }
  if (spec.head_dim < 1 || spec.head_dim > kMaxDim)
    return error(absl::StrCat("head_dim is not from 1 to ", kMaxDim));
  if (spec.rotary.has_value()) {
    int64_t& dim = spec.rotary->dim;
    if (dim == 0) dim = spec.head_dim;
    if (dim % 2 != 0 || dim > spec.head_dim) {
      return error(absl::StrCat("rotary_dim=", dim,
                                " is not an even number from 2 to head_dim=", spec.head_dim));
    }
  }
  const int64_t buckets = spec.relative_buckets;
  if (buckets != 0 && (buckets < 4 || buckets % 2 != 0 || buckets > kMaxDim)) {
    return error(
        absl::StrCat("relative_buckets=", buckets, " is not an even number from 4 to ", kMaxDim));
  }
  if (spec.relative_max_distance < 1 || spec.relative_max_distance > kMaxDim) {
    return error(absl::StrCat("relative_max_distance is not from 1 to ", kMaxDim));
  }
  const int64_t rows = 2 * (spec.num_heads + spec.num_kv_heads) * spec.head_dim;
  if (rows > kMaxParameters / spec.embed_dim) {
    return error(absl::StrCat("the layer has more than ", kMaxParameters, " parameters"));
  }
  return spec;
}

// The text whose checksum names the layer. Settings that the layer does not use are left out.
std::string DefinitionText(const RandomLayerSpec& spec) {
  std::string text =
      absl::StrCat("attend random layer 1\nembed_dim=", spec.embed_dim,
                   "\nnum_heads=", spec.num_heads, "\nnum_kv_heads=", spec.num_kv_heads,
                   "\nhead_dim=", spec.head_dim, "\nseed=", spec.seed, "\n");
  if (spec.scale != 0.0f) absl::StrAppendFormat(&text, "scale=%.9g\n", spec.scale);
  if (spec.softcap != 0.0f) absl::StrAppendFormat(&text, "softcap=%.9g\n", spec.softcap);
  if (spec.window_left) absl::StrAppend(&text, "window_left=", *spec.window_left, "\n");
  if (spec.window_right) absl::StrAppend(&text, "window_right=", *spec.window_right, "\n");
  if (spec.rotary.has_value()) {
    absl::StrAppendFormat(&text, "rotary_dim=%d\nrotary_theta=%.17g\nrotary_interleaved=%d\n",
                          spec.rotary->dim, spec.rotary->theta, spec.rotary->interleaved);
  }
  if (spec.qk_norm) absl::StrAppend(&text, "qk_norm=1\n");
  if (spec.relative_buckets != 0) {
    absl::StrAppend(&text, "relative_buckets=", spec.relative_buckets,
                    "\nrelative_max_distance=", spec.relative_max_distance, "\n");
  }
  return text;
}

void SetVariants(const RandomLayerSpec& spec, LayerConfig& config) {
  if (spec.scale != 0.0f) config.scale = spec.scale;
  config.softcap = spec.softcap;
  config.window_left = spec.window_left;
  config.window_right = spec.window_right;
  config.query_key_norm = spec.qk_norm;
  if (spec.rotary.has_value()) {
    RotaryConfig& rotary = config.rotary.emplace();
    rotary.width = spec.rotary->dim;
    rotary.theta = spec.rotary->theta;
    if (spec.rotary->interleaved) rotary.layout = RotaryConfig::Layout::kInterleaved;
  }
  if (spec.relative_buckets == 0) return;
  config.relative_bias = RelativeBiasConfig{spec.relative_buckets, spec.relative_max_distance};
}

}  // namespace

absl::StatusOr<LayerParameters> DrawRandomLayer(const RandomLayerSpec& given) {
  ATTEND_ASSIGN_OR_RETURN(const RandomLayerSpec spec, ResolveSizes(given));
  LayerParameters layer;
  LayerConfig& config = layer.config;
  config.name = spec.name;
  config.embed_dim = config.key_dim = config.value_dim = spec.embed_dim;
  config.num_heads = spec.num_heads;
  config.num_kv_heads = spec.num_kv_heads;
  config.head_dim = config.value_head_dim = spec.head_dim;
  config.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.head_dim)));
  config.compute = spec.compute;
  ATTEND_ASSIGN_OR_RETURN(config.sha256, Sha256Hex(DefinitionText(spec)));
  SetVariants(spec, config);

  Stream stream(spec.seed);
  const auto draw = [&stream](int64_t out, int64_t in, std::vector<float>& weight,
                              std::vector<float>& bias) {
    weight = stream.Draw(out * in, static_cast<float>(std::sqrt(3.0 / static_cast<double>(in))));
    bias = stream.Draw(out, 0.5f);
  };
  const int64_t query_width = spec.num_heads * spec.head_dim;
  const int64_t key_width = spec.num_kv_heads * spec.head_dim;
  LayerWeights& weights = layer.weights;
  draw(query_width, spec.embed_dim, weights.query_weight, weights.query_bias);
  draw(key_width, spec.embed_dim, weights.key_weight, weights.key_bias);
  draw(key_width, spec.embed_dim, weights.value_weight, weights.value_bias);
  draw(spec.embed_dim, query_width, weights.output_weight, weights.output_bias);
  if (spec.qk_norm) {
    for (std::vector<float>* norm : {&weights.query_norm, &weights.key_norm}) {
      *norm = stream.Draw(spec.head_dim, 0.5f);
      for (float& weight : *norm) weight += 1.0f;
    }
  }
  weights.relative_bias = stream.Draw(spec.relative_buckets * spec.num_heads, 1.0f);
  return layer;
}

}  // namespace attend
