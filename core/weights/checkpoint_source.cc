// SPDX-License-Identifier: Apache-2.0
#include "core/weights/checkpoint_source.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"
#include "core/base/status.h"
#include "core/weights/files/checkpoint.h"
#include "core/weights/models/config_reader.h"
#include "core/weights/models/families.h"
#include "core/weights/models/model_config.h"

namespace attend {
namespace {

// [rows, columns] -> [columns, rows].
std::vector<float> Transpose(const std::vector<float>& matrix, int64_t rows, int64_t columns) {
  std::vector<float> result(matrix.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) result[c * rows + r] = matrix[r * columns + c];
  }
  return result;
}

class CheckpointSource : public LayerSource {
 public:
  CheckpointSource(ModelSpec spec, Checkpoint checkpoint, const ModelFamily& family,
                   ModelConfig model)
      : spec_(std::move(spec)),
        checkpoint_(std::move(checkpoint)),
        family_(family),
        model_(std::move(model)) {}

  int64_t num_layers() const override { return static_cast<int64_t>(entries_.size()); }

  // Finds out whether tensor names carry the prefix and which stacks the checkpoint holds, and
  // checks that it does not hold more layers than config.json counts.
  absl::Status FindLayers() {
    const std::string bare = FirstTensor(family_.stacks[0], 0);
    if (!checkpoint_.Contains(bare)) prefix_ = family_.prefix;
    if (!checkpoint_.Contains(FirstTensor(family_.stacks[0], 0))) {
      return TensorError(
          checkpoint_.weights_path(), bare,
          absl::StrCat("is missing, with and without the prefix ", Quoted(family_.prefix)));
    }
    for (size_t i = 0; i < family_.stacks.size(); ++i) {
      const LayerStack& stack = family_.stacks[i];
      if (stack.optional && !HasBlocks(stack.blocks)) continue;
      const int64_t count = model_.num_layers[i];
      const std::string beyond = FirstTensor(stack, count);
      if (checkpoint_.Contains(beyond)) {
        return TensorError(
            checkpoint_.weights_path(), beyond,
            absl::StrCat("belongs to a layer that ", checkpoint_.config_path(), " does not count"));
      }
      for (int64_t block = 0; block < count; ++block) entries_.push_back({&stack, block});
    }
    return absl::OkStatus();
  }

  absl::StatusOr<LayerParameters> Read(int64_t index) const override {
    const Entry& entry = entries_[static_cast<size_t>(index)];
    LayerParameters layer;
    SetConfig(entry, layer.config);
    ATTEND_RETURN_IF_ERROR(family_.key.empty() ? ReadStacked(entry, layer)
                                               : ReadSeparate(entry, layer));
    const LayerConfig& config = layer.config;
    ATTEND_RETURN_IF_ERROR(ReadLinear(entry, family_.output, config.embed_dim,
                                      config.num_heads * config.head_dim, model_.output_bias,
                                      layer.weights.output_weight, layer.weights.output_bias));
    if (config.query_key_norm) {
      ATTEND_ASSIGN_OR_RETURN(
          layer.weights.query_norm,
          checkpoint_.ReadFloat32(Tensor(entry, family_.query_norm, "weight"), {config.head_dim}));
      ATTEND_ASSIGN_OR_RETURN(
          layer.weights.key_norm,
          checkpoint_.ReadFloat32(Tensor(entry, family_.key_norm, "weight"), {config.head_dim}));
    }
    if (config.relative_bias.has_value()) {
      ATTEND_ASSIGN_OR_RETURN(
          layer.weights.relative_bias,
          checkpoint_.ReadFloat32(Tensor({entry.stack, 0}, "relative_attention_bias", "weight"),
                                  {config.relative_bias->buckets, config.num_heads}));
    }
    return layer;
  }

 private:
  // One layer: the attention of one block of a stack.
  struct Entry {
    const LayerStack* stack;
    int64_t block;
  };

  std::string Tensor(const Entry& entry, absl::string_view projection,
                     absl::string_view kind) const {
    return absl::StrCat(prefix_, entry.stack->blocks, ".", entry.block, ".", entry.stack->attention,
                        projection, ".", kind);
  }
  // Whether the checkpoint has any attention of these blocks. If so, it must have all of them.
  bool HasBlocks(absl::string_view blocks) const {
    for (const LayerStack& stack : family_.stacks) {
      if (stack.blocks == blocks && checkpoint_.Contains(FirstTensor(stack, 0))) return true;
    }
    return false;
  }
  std::string FirstTensor(const LayerStack& stack, int64_t block) const {
    return Tensor({&stack, block}, family_.query, "weight");
  }

  void SetConfig(const Entry& entry, LayerConfig& config) const {
    config.name =
        absl::StrCat(spec_.name, "/", entry.stack->name, entry.block, entry.stack->suffix);
    config.embed_dim = config.key_dim = config.value_dim = model_.hidden_size;
    config.head_dim = config.value_head_dim = model_.head_dim;
    config.num_heads = model_.num_heads;
    config.num_kv_heads = model_.num_kv_heads;
    if (const auto heads = model_.pruned_heads.find(entry.block);
        heads != model_.pruned_heads.end()) {
      config.pruned_heads.assign(heads->second.begin(), heads->second.end());
      config.num_heads -= static_cast<int64_t>(config.pruned_heads.size());
      config.num_kv_heads = config.num_heads;
    }
    const double divisor = model_.scale_by_layer ? static_cast<double>(entry.block + 1) : 1.0;
    config.scale = static_cast<float>(model_.scale / divisor);
    config.softcap = static_cast<float>(model_.softcap);
    if (!model_.window_left.empty()) {
      config.window_left = model_.window_left[static_cast<size_t>(entry.block)];
    }
    config.rotary = model_.rotary;
    if (entry.stack->relative != LayerStack::Relative::kNone) {
      config.relative_bias = {model_.relative_buckets, model_.relative_max_distance,
                              entry.stack->relative == LayerStack::Relative::kBothWays};
    }
    config.query_key_norm = !family_.query_norm.empty();
    config.norm_epsilon = model_.norm_epsilon;
    config.compute = spec_.compute;
    config.place = FindPlace(entry);
    config.sha256 = checkpoint_.sha256();
  }

  ModelPlace FindPlace(const Entry& entry) const {
    ModelPlace place;
    place.model = spec_.name;
    place.family = std::string(family_.model_type);
    place.stack = std::string(entry.stack->title);
    place.index = entry.block;
    place.count = model_.num_layers[static_cast<size_t>(entry.stack - family_.stacks.data())];
    place.decoder = entry.stack->decoder || model_.decoder;
    return place;
  }

  // Reads a projection's weight as [out, in], whichever order the checkpoint stores, and its
  // bias if `has_bias`.
  absl::Status ReadLinear(const Entry& entry, absl::string_view projection, int64_t out, int64_t in,
                          bool has_bias, std::vector<float>& weight,
                          std::vector<float>& bias) const {
    const std::string name = Tensor(entry, projection, "weight");
    if (family_.transposed) {
      ATTEND_ASSIGN_OR_RETURN(const std::vector<float> matrix,
                              checkpoint_.ReadFloat32(name, {in, out}));
      weight = Transpose(matrix, in, out);
    } else {
      ATTEND_ASSIGN_OR_RETURN(weight, checkpoint_.ReadFloat32(name, {out, in}));
    }
    const std::string bias_name = Tensor(entry, projection, "bias");
    if (has_bias) {
      ATTEND_ASSIGN_OR_RETURN(bias, checkpoint_.ReadFloat32(bias_name, {out}));
    } else if (checkpoint_.Contains(bias_name)) {
      return TensorError(checkpoint_.weights_path(), bias_name,
                         absl::StrCat("must not exist: according to ", checkpoint_.config_path(),
                                      ", the projection has no bias"));
    }
    return absl::OkStatus();
  }

  absl::Status ReadSeparate(const Entry& entry, LayerParameters& layer) const {
    const LayerConfig& config = layer.config;
    LayerWeights& weights = layer.weights;
    const int64_t width = config.embed_dim, keys = config.num_kv_heads * config.head_dim;
    const bool bias = model_.query_key_value_bias;
    ATTEND_RETURN_IF_ERROR(ReadLinear(entry, family_.query, config.num_heads * config.head_dim,
                                      width, bias, weights.query_weight, weights.query_bias));
    ATTEND_RETURN_IF_ERROR(
        ReadLinear(entry, family_.key, keys, width, bias, weights.key_weight, weights.key_bias));
    return ReadLinear(entry, family_.value, keys, width, bias, weights.value_weight,
                      weights.value_bias);
  }

  absl::Status ReadStacked(const Entry& entry, LayerParameters& layer) const {
    const LayerConfig& config = layer.config;
    LayerWeights& weights = layer.weights;
    std::vector<float> weight, bias;
    ATTEND_RETURN_IF_ERROR(ReadLinear(entry, family_.query, 3 * config.num_heads * config.head_dim,
                                      config.embed_dim, model_.query_key_value_bias, weight, bias));
    SplitStacked(weight, weights.query_weight, weights.key_weight, weights.value_weight);
    SplitStacked(bias, weights.query_bias, weights.key_bias, weights.value_bias);
    return absl::OkStatus();
  }

  const ModelSpec spec_;
  const Checkpoint checkpoint_;
  const ModelFamily& family_;
  const ModelConfig model_;
  absl::string_view prefix_;
  std::vector<Entry> entries_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const LayerSource>> OpenCheckpoint(const ModelSpec& spec) {
  ATTEND_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(spec.path));
  const ConfigReader config(checkpoint.config(), checkpoint.config_path());
  ATTEND_ASSIGN_OR_RETURN(const ModelFamily* family, ReadModelFamily(config));
  ATTEND_ASSIGN_OR_RETURN(ModelConfig model, ReadModelConfig(config, *family));
  if (spec.num_heads != 0 && spec.num_heads != model.num_heads) {
    return config.Error(absl::StrCat("the model has ", model.num_heads, " heads, but num_heads=",
                                     spec.num_heads, " was given; leave it out"));
  }
  auto source =
      std::make_unique<CheckpointSource>(spec, std::move(checkpoint), *family, std::move(model));
  ATTEND_RETURN_IF_ERROR(source->FindLayers());
  return std::unique_ptr<const LayerSource>(std::move(source));
}

}  // namespace attend
