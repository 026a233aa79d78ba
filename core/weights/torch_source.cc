// SPDX-License-Identifier: Apache-2.0
#include "core/weights/torch_source.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/weights/files/file.h"
#include "core/weights/files/safetensors.h"

namespace attend {
namespace {

constexpr absl::string_view kNames[] = {"in_proj_weight", "q_proj_weight", "k_proj_weight",
                                        "v_proj_weight",  "in_proj_bias",  "out_proj.weight",
                                        "out_proj.bias"};

class TorchAttention : public LayerSource {
 public:
  TorchAttention(ModelSpec spec, Safetensors file)
      : spec_(std::move(spec)), file_(std::move(file)) {}

  int64_t num_layers() const override { return 1; }

  // Checks everything that can be checked without reading the data.
  absl::Status Check() const {
    for (const auto& item : file_.tensors()) {
      const std::string& name = item.first;
      if (name == "bias_k" || name == "bias_v") {
        return Error(name, "is an extra key or value (add_bias_kv), which is not supported");
      }
      if (!absl::c_linear_search(kNames, name)) {
        return Error(name,
                     absl::StrCat("does not belong to torch.nn.MultiheadAttention, which has ",
                                  absl::StrJoin(kNames, ", ")));
      }
    }
    if (Has("in_proj_weight") &&
        (Has("q_proj_weight") || Has("k_proj_weight") || Has("v_proj_weight"))) {
      return Error("in_proj_weight",
                   "must not exist beside q_proj_weight, k_proj_weight or v_proj_weight: a file "
                   "has one of the two forms");
    }
    if (Has("in_proj_bias") != Has("out_proj.bias")) {
      return Error(Has("in_proj_bias") ? "out_proj.bias" : "in_proj_bias",
                   "is missing; in_proj_bias and out_proj.bias must both exist or both be absent");
    }
    if (spec_.num_heads == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          spec_.path, ": the file does not hold the number of heads; give it as num_heads=N"));
    }
    ATTEND_ASSIGN_OR_RETURN(const int64_t width, FindSize("out_proj.weight", 0));
    if (width < 1 || width % spec_.num_heads != 0) {
      return Error("out_proj.weight",
                   absl::StrCat("has width ", width, ", which is not a multiple of ",
                                "num_heads=", spec_.num_heads));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<LayerParameters> Read(int64_t) const override {
    LayerParameters layer;
    LayerConfig& config = layer.config;
    ATTEND_ASSIGN_OR_RETURN(config.embed_dim, FindSize("out_proj.weight", 0));
    config.name = spec_.name;
    config.num_heads = config.num_kv_heads = spec_.num_heads;
    config.head_dim = config.value_head_dim = config.embed_dim / spec_.num_heads;
    config.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
    config.compute = spec_.compute;
    ATTEND_ASSIGN_OR_RETURN(config.sha256, Sha256Hex(file_.file()));
    ATTEND_RETURN_IF_ERROR(Has("in_proj_weight") ? ReadStacked(layer) : ReadSeparate(layer));

    const int64_t width = config.embed_dim;
    LayerWeights& weights = layer.weights;
    ATTEND_ASSIGN_OR_RETURN(weights.output_weight,
                            file_.ReadFloat32("out_proj.weight", {width, width}));
    if (Has("in_proj_bias")) {
      ATTEND_ASSIGN_OR_RETURN(const std::vector<float> biases,
                              file_.ReadFloat32("in_proj_bias", {3 * width}));
      SplitStacked(biases, weights.query_bias, weights.key_bias, weights.value_bias);
      ATTEND_ASSIGN_OR_RETURN(weights.output_bias, file_.ReadFloat32("out_proj.bias", {width}));
    }
    return layer;
  }

 private:
  absl::Status Error(absl::string_view tensor, absl::string_view predicate) const {
    return TensorError(spec_.path, tensor, predicate);
  }

  bool Has(absl::string_view name) const { return file_.Contains(name); }

  // Finds the size of one axis of a tensor that must be a matrix.
  absl::StatusOr<int64_t> FindSize(absl::string_view name, int axis) const {
    const auto found = file_.tensors().find(name);
    if (found == file_.tensors().end()) return Error(name, "is missing");
    if (found->second.shape.size() != 2) {
      return Error(name, absl::StrCat("has shape ", ToString(found->second.shape),
                                      ", but must have two axes"));
    }
    return found->second.shape[axis];
  }

  absl::Status ReadStacked(LayerParameters& layer) const {
    LayerConfig& config = layer.config;
    config.key_dim = config.value_dim = config.embed_dim;
    ATTEND_ASSIGN_OR_RETURN(
        const std::vector<float> stacked,
        file_.ReadFloat32("in_proj_weight", {3 * config.embed_dim, config.embed_dim}));
    SplitStacked(stacked, layer.weights.query_weight, layer.weights.key_weight,
                 layer.weights.value_weight);
    return absl::OkStatus();
  }

  absl::Status ReadSeparate(LayerParameters& layer) const {
    LayerConfig& config = layer.config;
    const int64_t width = config.embed_dim;
    ATTEND_ASSIGN_OR_RETURN(layer.weights.query_weight,
                            file_.ReadFloat32("q_proj_weight", {width, width}));
    ATTEND_ASSIGN_OR_RETURN(config.key_dim, FindSize("k_proj_weight", 1));
    ATTEND_ASSIGN_OR_RETURN(layer.weights.key_weight,
                            file_.ReadFloat32("k_proj_weight", {width, config.key_dim}));
    ATTEND_ASSIGN_OR_RETURN(config.value_dim, FindSize("v_proj_weight", 1));
    ATTEND_ASSIGN_OR_RETURN(layer.weights.value_weight,
                            file_.ReadFloat32("v_proj_weight", {width, config.value_dim}));
    if (config.key_dim < 1) return Error("k_proj_weight", "has no columns");
    if (config.value_dim < 1) return Error("v_proj_weight", "has no columns");
    return absl::OkStatus();
  }

  const ModelSpec spec_;
  const Safetensors file_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const LayerSource>> OpenTorchAttention(const ModelSpec& spec) {
  ATTEND_ASSIGN_OR_RETURN(Safetensors file, Safetensors::Open(spec.path));
  auto source = std::make_unique<TorchAttention>(spec, std::move(file));
  ATTEND_RETURN_IF_ERROR(source->Check());
  return std::unique_ptr<const LayerSource>(std::move(source));
}

}  // namespace attend
