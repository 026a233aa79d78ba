#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/weights/file.h"
#include "core/weights/source.h"

namespace attend {
namespace {

constexpr int64_t kMaxDim = int64_t{1} << 20;  // keeps every product below 2^63
constexpr int64_t kMaxParameters = int64_t{1} << 30;

// core/weights/source.h states the numbers.
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

absl::StatusOr<RandomLayerSpec> Resolve(RandomLayerSpec spec) {
  const auto error = [&spec](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("random layer ", spec.name, ": ", what));
  };
  if (spec.embed_dim < 1 || spec.embed_dim > kMaxDim) return error("embed_dim is out of range");
  if (spec.num_heads < 1 || spec.num_heads > kMaxDim) return error("num_heads is out of range");
  if (spec.num_kv_heads == 0) spec.num_kv_heads = spec.num_heads;
  if (spec.num_kv_heads < 0 || spec.num_heads % spec.num_kv_heads != 0) {
    return error(absl::StrCat("num_heads=", spec.num_heads,
                              " is not a multiple of num_kv_heads=", spec.num_kv_heads));
  }
  if (spec.head_dim == 0) {
    if (spec.embed_dim % spec.num_heads != 0) {
      return error(absl::StrCat("embed_dim=", spec.embed_dim, " is not a multiple of num_heads=",
                                spec.num_heads, "; give head_dim"));
    }
    spec.head_dim = spec.embed_dim / spec.num_heads;
  }
  if (spec.head_dim < 1 || spec.head_dim > kMaxDim) return error("head_dim is out of range");
  const int64_t rows = 2 * (spec.num_heads + spec.num_kv_heads) * spec.head_dim;
  if (rows > kMaxParameters / spec.embed_dim) {
    return error(absl::StrCat("more than ", kMaxParameters, " parameters"));
  }
  return spec;
}

}  // namespace

absl::StatusOr<LayerParameters> DrawRandomLayer(const RandomLayerSpec& given) {
  ATTEND_ASSIGN_OR_RETURN(const RandomLayerSpec spec, Resolve(given));
  LayerParameters layer;
  LayerConfig& config = layer.config;
  config.name = spec.name;
  config.embed_dim = config.key_dim = config.value_dim = spec.embed_dim;
  config.num_heads = spec.num_heads;
  config.num_kv_heads = spec.num_kv_heads;
  config.head_dim = config.value_head_dim = spec.head_dim;
  config.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.head_dim)));
  config.compute = spec.compute;
  config.sha256 =
      Sha256Hex(absl::StrCat("attend random layer 1\nembed_dim=", spec.embed_dim,
                             "\nnum_heads=", spec.num_heads, "\nnum_kv_heads=", spec.num_kv_heads,
                             "\nhead_dim=", spec.head_dim, "\nseed=", spec.seed, "\n"));

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
  return layer;
}

}  // namespace attend
