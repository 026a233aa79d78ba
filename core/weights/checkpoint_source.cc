#include <cmath>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/weights/checkpoint.h"
#include "core/weights/families.h"
#include "core/weights/source.h"

namespace attend {
namespace {

using PrunedHeads = std::map<int64_t, std::set<int64_t>>;  // layer -> heads

// The sizes that config.json states.
struct Sizes {
  int64_t hidden_size = 0;
  int64_t num_heads = 0;  // before pruning
  int64_t num_layers = 0;
  PrunedHeads pruned;
};

absl::Status ConfigError(const Checkpoint& checkpoint, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(checkpoint.config_path(), ": ", what));
}

absl::StatusOr<int64_t> ReadSize(const Checkpoint& checkpoint, absl::string_view key) {
  // Far above any model; keeps products of two sizes far below 2^63.
  constexpr int64_t kMaxSize = int64_t{1} << 24;
  const auto found = checkpoint.config().find(std::string(key));
  const std::optional<int64_t> value =
      found == checkpoint.config().end() ? std::nullopt : AsInt(*found);
  if (!value.has_value() || *value < 1 || *value > kMaxSize) {
    return ConfigError(checkpoint,
                       absl::StrCat(Quoted(key), " is not an integer from 1 to ", kMaxSize));
  }
  return *value;
}

absl::StatusOr<const ModelFamily*> ReadFamily(const Checkpoint& checkpoint) {
  const Json& config = checkpoint.config();
  const auto type = config.find("model_type");
  if (type == config.end() || !type->is_string()) {
    return ConfigError(checkpoint,
                       absl::StrCat("\"model_type\" is missing; known are ", KnownModelTypes()));
  }
  const auto& name = type->get_ref<const std::string&>();
  const ModelFamily* family = FindModelFamily(name);
  if (family == nullptr) {
    return ConfigError(checkpoint, absl::StrCat("model_type ", Quoted(name),
                                                " is not known; known are ", KnownModelTypes()));
  }
  const auto positions = config.find("position_embedding_type");
  if (positions != config.end() && !positions->is_null() && *positions != Json("absolute")) {
    return ConfigError(
        checkpoint,
        absl::StrCat("position_embedding_type ",
                     positions->is_string() ? Quoted(positions->get_ref<const std::string&>())
                                            : "of this kind",
                     " changes attention scores and is not supported; only "
                     "\"absolute\" is"));
  }
  return family;
}

// {"LAYER": [HEAD, ...]}, heads numbered as before pruning.
absl::StatusOr<PrunedHeads> ReadPrunedHeads(const Checkpoint& checkpoint, const Sizes& sizes) {
  PrunedHeads pruned;
  const auto found = checkpoint.config().find("pruned_heads");
  if (found == checkpoint.config().end() || found->is_null()) return pruned;
  if (!found->is_object()) return ConfigError(checkpoint, "\"pruned_heads\" is not an object");
  for (const auto& item : found->items()) {
    int64_t layer = 0;
    if (!absl::SimpleAtoi(item.key(), &layer) || layer < 0 || layer >= sizes.num_layers ||
        !item.value().is_array()) {
      return ConfigError(checkpoint, absl::StrCat("\"pruned_heads\": ", Quoted(item.key()),
                                                  " is not a layer with a list of heads"));
    }
    for (const Json& element : item.value()) {
      const std::optional<int64_t> head = AsInt(element);
      if (!head.has_value() || *head >= sizes.num_heads || !pruned[layer].insert(*head).second) {
        return ConfigError(checkpoint,
                           absl::StrCat("\"pruned_heads\" of layer ", layer,
                                        ": not different heads below ", sizes.num_heads));
      }
    }
  }
  return pruned;
}

absl::StatusOr<Sizes> ReadSizes(const Checkpoint& checkpoint, const ModelFamily& family) {
  Sizes sizes;
  ATTEND_ASSIGN_OR_RETURN(sizes.hidden_size, ReadSize(checkpoint, family.hidden_size));
  ATTEND_ASSIGN_OR_RETURN(sizes.num_heads, ReadSize(checkpoint, family.num_heads));
  ATTEND_ASSIGN_OR_RETURN(sizes.num_layers, ReadSize(checkpoint, family.num_layers));
  if (sizes.hidden_size % sizes.num_heads != 0) {
    return ConfigError(checkpoint, absl::StrCat(Quoted(family.hidden_size), " ", sizes.hidden_size,
                                                " is not a multiple of ", Quoted(family.num_heads),
                                                " ", sizes.num_heads));
  }
  ATTEND_ASSIGN_OR_RETURN(sizes.pruned, ReadPrunedHeads(checkpoint, sizes));
  for (const auto& [layer, heads] : sizes.pruned) {
    if (static_cast<int64_t>(heads.size()) == sizes.num_heads) {
      return ConfigError(checkpoint,
                         absl::StrCat("\"pruned_heads\" leaves layer ", layer, " without a head"));
    }
  }
  return sizes;
}

class CheckpointSource : public LayerSource {
 public:
  CheckpointSource(ModelSpec spec, Checkpoint checkpoint, const ModelFamily& family, Sizes sizes)
      : spec_(std::move(spec)),
        checkpoint_(std::move(checkpoint)),
        family_(family),
        sizes_(std::move(sizes)) {}

  int64_t num_layers() const override { return sizes_.num_layers; }

  // Decides whether names carry the prefix, and that the file does not hold more
  // layers than the config says.
  absl::Status FindLayers() {
    const std::string bare = Tensor(0, family_.query, "weight");
    if (!checkpoint_.Contains(bare)) prefix_ = family_.prefix;
    if (!checkpoint_.Contains(Tensor(0, family_.query, "weight"))) {
      return TensorError(
          checkpoint_.weights_path(), bare,
          absl::StrCat("is missing, with and without prefix ", Quoted(family_.prefix)));
    }
    const std::string beyond = Tensor(sizes_.num_layers, family_.query, "weight");
    if (checkpoint_.Contains(beyond)) {
      return TensorError(
          checkpoint_.weights_path(), beyond,
          absl::StrCat("is of a layer that ", checkpoint_.config_path(), " does not count"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<LayerParameters> Read(int64_t index) const override {
    const int64_t width = sizes_.hidden_size;
    LayerParameters layer;
    LayerConfig& config = layer.config;
    config.name = absl::StrCat(spec_.name, "/", index);
    config.embed_dim = config.key_dim = config.value_dim = width;
    config.head_dim = config.value_head_dim = width / sizes_.num_heads;
    if (const auto heads = sizes_.pruned.find(index); heads != sizes_.pruned.end()) {
      config.pruned_heads.assign(heads->second.begin(), heads->second.end());
    }
    config.num_heads = sizes_.num_heads - static_cast<int64_t>(config.pruned_heads.size());
    config.num_kv_heads = config.num_heads;
    config.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
    config.compute = spec_.compute;
    config.sha256 = checkpoint_.sha256();

    const int64_t inner = config.num_heads * config.head_dim;
    LayerWeights& weights = layer.weights;
    const auto read = [&](absl::string_view projection, int64_t out, int64_t in,
                          std::vector<float>& weight, std::vector<float>& bias) -> absl::Status {
      ATTEND_ASSIGN_OR_RETURN(
          weight, checkpoint_.ReadFloat32(Tensor(index, projection, "weight"), {out, in}));
      ATTEND_ASSIGN_OR_RETURN(bias,
                              checkpoint_.ReadFloat32(Tensor(index, projection, "bias"), {out}));
      return absl::OkStatus();
    };
    ATTEND_RETURN_IF_ERROR(
        read(family_.query, inner, width, weights.query_weight, weights.query_bias));
    ATTEND_RETURN_IF_ERROR(read(family_.key, inner, width, weights.key_weight, weights.key_bias));
    ATTEND_RETURN_IF_ERROR(
        read(family_.value, inner, width, weights.value_weight, weights.value_bias));
    ATTEND_RETURN_IF_ERROR(
        read(family_.output, width, inner, weights.output_weight, weights.output_bias));
    return layer;
  }

 private:
  std::string Tensor(int64_t layer, absl::string_view projection, absl::string_view kind) const {
    return absl::StrCat(prefix_, family_.layers, ".", layer, ".", projection, ".", kind);
  }

  const ModelSpec spec_;
  const Checkpoint checkpoint_;
  const ModelFamily& family_;
  const Sizes sizes_;
  absl::string_view prefix_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const LayerSource>> OpenCheckpoint(const ModelSpec& spec) {
  ATTEND_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(spec.path));
  ATTEND_ASSIGN_OR_RETURN(const ModelFamily* family, ReadFamily(checkpoint));
  ATTEND_ASSIGN_OR_RETURN(Sizes sizes, ReadSizes(checkpoint, *family));
  if (spec.num_heads != 0 && spec.num_heads != sizes.num_heads) {
    return ConfigError(checkpoint, absl::StrCat("has ", sizes.num_heads, " heads, but num_heads=",
                                                spec.num_heads, " was given; leave it out"));
  }
  auto source =
      std::make_unique<CheckpointSource>(spec, std::move(checkpoint), *family, std::move(sizes));
  ATTEND_RETURN_IF_ERROR(source->FindLayers());
  return std::unique_ptr<const LayerSource>(std::move(source));
}

}  // namespace attend
