// SPDX-License-Identifier: Apache-2.0
#include "core/weights/models/model_config.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"
#include "core/base/status.h"
#include "core/weights/models/rotary_config.h"

namespace attend {
namespace {

absl::Status ReadSizes(const ConfigReader& config, const ModelFamily& family, ModelConfig& model) {
  ATTEND_ASSIGN_OR_RETURN(model.hidden_size, config.Size(family.hidden_size));
  ATTEND_ASSIGN_OR_RETURN(model.num_heads, config.Size(family.num_heads));
  for (const LayerStack& stack : family.stacks) {
    const bool other = !stack.num_layers_default.empty() && !config.Has(stack.num_layers);
    ATTEND_ASSIGN_OR_RETURN(const int64_t layers,
                            config.Size(other ? stack.num_layers_default : stack.num_layers));
    model.num_layers.push_back(layers);
  }
  model.num_kv_heads = model.num_heads;
  if (!family.num_kv_heads.empty()) {
    ATTEND_ASSIGN_OR_RETURN(model.num_kv_heads, config.Size(family.num_kv_heads, model.num_heads));
    if (model.num_heads % model.num_kv_heads != 0) {
      return config.Error(absl::StrCat(Quoted(family.num_heads), " ", model.num_heads,
                                       " is not a multiple of ", Quoted(family.num_kv_heads), " ",
                                       model.num_kv_heads));
    }
  }
  if (family.head_dim_needed || (!family.head_dim.empty() && config.Has(family.head_dim))) {
    ATTEND_ASSIGN_OR_RETURN(model.head_dim, config.Size(family.head_dim));
    return absl::OkStatus();
  }
  if (model.hidden_size % model.num_heads != 0) {
    return config.Error(absl::StrCat(Quoted(family.hidden_size), " ", model.hidden_size,
                                     " is not a multiple of ", Quoted(family.num_heads), " ",
                                     model.num_heads));
  }
  model.head_dim = model.hidden_size / model.num_heads;
  return absl::OkStatus();
}

absl::Status ReadBiases(const ConfigReader& config, const ModelFamily& family, ModelConfig& model) {
  ATTEND_ASSIGN_OR_RETURN(const bool configured, config.Flag("attention_bias", false));
  switch (family.biases) {
    case ModelFamily::Biases::kAll:
      model.query_key_value_bias = model.output_bias = true;
      break;
    case ModelFamily::Biases::kNone:
      break;
    case ModelFamily::Biases::kQueryKeyValue:
      model.query_key_value_bias = true;
      break;
    case ModelFamily::Biases::kConfigured:
      model.query_key_value_bias = model.output_bias = configured;
  }
  return absl::OkStatus();
}

absl::Status ReadScale(const ConfigReader& config, const ModelFamily& family, ModelConfig& model) {
  model.scale = 1.0 / std::sqrt(static_cast<double>(model.head_dim));
  switch (family.scale) {
    case ModelFamily::Scale::kHeadDim:
      break;
    case ModelFamily::Scale::kOne:
      model.scale = 1.0;
      break;
    case ModelFamily::Scale::kQueryPreAttentionScalar: {
      ATTEND_ASSIGN_OR_RETURN(const double scalar, config.Positive("query_pre_attn_scalar"));
      model.scale = 1.0 / std::sqrt(scalar);
      break;
    }
    case ModelFamily::Scale::kGpt2: {
      ATTEND_ASSIGN_OR_RETURN(const bool scaled, config.Flag("scale_attn_weights", true));
      if (!scaled) model.scale = 1.0;
      ATTEND_ASSIGN_OR_RETURN(model.scale_by_layer,
                              config.Flag("scale_attn_by_inverse_layer_idx", false));
    }
  }
  if (family.softcap.empty()) return absl::OkStatus();
  // Models of the family without a softcap have the key with the value null.
  if (!config.Contains(family.softcap)) {
    return config.Error(absl::StrCat(Quoted(family.softcap), " is missing"));
  }
  if (!config.Has(family.softcap)) return absl::OkStatus();
  ATTEND_ASSIGN_OR_RETURN(model.softcap, config.Positive(family.softcap));
  return absl::OkStatus();
}

// Reads which layers have the window; empty if layer_types is absent.
absl::StatusOr<std::vector<bool>> ReadLayerTypes(const ConfigReader& config, int64_t num_layers) {
  std::vector<bool> sliding;
  const Json* const found = config.Find("layer_types");
  if (found == nullptr) return sliding;
  if (!found->is_array() || static_cast<int64_t>(found->size()) != num_layers) {
    return config.Error(
        absl::StrCat("\"layer_types\" is not a list of ", num_layers, " types, one per layer"));
  }
  for (const Json& type : *found) {
    if (type != Json("full_attention") && type != Json("sliding_attention")) {
      return config.Error(
          absl::StrCat("\"layer_types\": ",
                       type.is_string() ? Quoted(type.get_ref<const std::string&>()) : "an element",
                       " is neither full_attention nor sliding_attention"));
    }
    sliding.push_back(type == Json("sliding_attention"));
  }
  return sliding;
}

absl::Status ReadWindows(const ConfigReader& config, const ModelFamily& family,
                         ModelConfig& model) {
  const int64_t layers = model.num_layers[0];
  if (family.window == ModelFamily::Window::kNone && config.Has("sliding_window")) {
    return config.Error(absl::StrCat("\"sliding_window\" is set, but models of type ",
                                     Quoted(family.model_type), " have no window"));
  }
  ATTEND_ASSIGN_OR_RETURN(std::vector<bool> sliding, ReadLayerTypes(config, layers));
  bool used = family.window != ModelFamily::Window::kNone;
  int64_t first = 0, step = family.window == ModelFamily::Window::kAlternating ? 2 : 1;
  if (family.window == ModelFamily::Window::kUpper) {
    ATTEND_ASSIGN_OR_RETURN(used, config.Flag("use_sliding_window", false));
    if (used && sliding.empty()) {
      const Json* const upper = config.Find("max_window_layers");
      const std::optional<int64_t> number = upper == nullptr ? std::nullopt : AsInt(*upper);
      if (!number.has_value()) {
        return config.Error(
            "\"max_window_layers\" is not an integer, and \"layer_types\" is absent");
      }
      first = *number;
    }
  } else if (used && !config.Contains("sliding_window")) {
    // Models of the family without a window have the key with the value null.
    return config.Error("\"sliding_window\" is missing");
  }
  const bool any = std::find(sliding.begin(), sliding.end(), true) != sliding.end();
  if (!used || !config.Has("sliding_window")) {
    if (!any && !(used && family.window == ModelFamily::Window::kUpper)) return absl::OkStatus();
    return config.Error("some layers have a sliding window, but no \"sliding_window\" is in use");
  }
  ATTEND_ASSIGN_OR_RETURN(const int64_t window, config.Size("sliding_window"));
  const bool all = std::find(sliding.begin(), sliding.end(), false) == sliding.end();
  if (family.window == ModelFamily::Window::kAll && !all) {
    return config.Error(
        absl::StrCat("\"layer_types\" lists layers without a window, but in models "
                     "of type ",
                     Quoted(family.model_type), " every layer has one"));
  }
  model.window_left.resize(static_cast<size_t>(layers));
  for (int64_t i = 0; i < layers; ++i) {
    const bool slides =
        sliding.empty() ? i >= first && (i - first) % step == 0 : sliding[static_cast<size_t>(i)];
    // The window counts the row itself and window - 1 keys before it.
    if (slides) model.window_left[static_cast<size_t>(i)] = window - 1;
  }
  return absl::OkStatus();
}

// Refuses settings under which the model computes attention that a layer does not have.
absl::Status CheckUnsupported(const ConfigReader& config) {
  for (const absl::string_view key :
       {"add_cross_attention", "qk_layernorm", "use_bidirectional_attention", "use_mrope"}) {
    ATTEND_ASSIGN_OR_RETURN(const bool on, config.Flag(key, false));
    if (on) return config.Error(absl::StrCat(Quoted(key), " is not supported"));
  }
  const Json* const positions = config.Find("position_embedding_type");
  if (positions == nullptr || *positions == Json("absolute")) return absl::OkStatus();
  return config.Error(absl::StrCat(
      "\"position_embedding_type\" is ",
      positions->is_string() ? Quoted(positions->get_ref<const std::string&>()) : "not a string",
      "; only \"absolute\" is supported, because the others change the scores"));
}

bool HasRelativeBias(const ModelFamily& family) {
  for (const LayerStack& stack : family.stacks) {
    if (stack.relative != LayerStack::Relative::kNone) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<const ModelFamily*> ReadModelFamily(const ConfigReader& config) {
  ATTEND_ASSIGN_OR_RETURN(const std::string name, config.Text("model_type", ""));
  if (name.empty()) {
    return config.Error(
        absl::StrCat("\"model_type\" is missing; the known types are ", KnownModelTypes()));
  }
  const ModelFamily* family = FindModelFamily(name);
  if (family == nullptr) {
    return config.Error(absl::StrCat("model_type ", Quoted(name),
                                     " is not known; the known types are ", KnownModelTypes()));
  }
  return family;
}

absl::StatusOr<ModelConfig> ReadModelConfig(const ConfigReader& config, const ModelFamily& family) {
  ATTEND_RETURN_IF_ERROR(CheckUnsupported(config));
  ModelConfig model;
  ATTEND_RETURN_IF_ERROR(ReadSizes(config, family, model));
  ATTEND_ASSIGN_OR_RETURN(model.pruned_heads,
                          ReadPrunedHeads(config, family, model.num_layers[0], model.num_heads));
  ATTEND_RETURN_IF_ERROR(ReadBiases(config, family, model));
  ATTEND_RETURN_IF_ERROR(ReadScale(config, family, model));
  ATTEND_RETURN_IF_ERROR(ReadWindows(config, family, model));
  if (family.rotary != ModelFamily::Rotary::kNone) {
    ATTEND_ASSIGN_OR_RETURN(model.rotary, ReadRotaryConfig(config, family, model.head_dim));
  }
  if (HasRelativeBias(family)) {
    ATTEND_ASSIGN_OR_RETURN(model.relative_buckets,
                            config.Size("relative_attention_num_buckets", 32));
    ATTEND_ASSIGN_OR_RETURN(model.relative_max_distance,
                            config.Size("relative_attention_max_distance", 128));
  }
  if (!family.decoder.empty()) {
    ATTEND_ASSIGN_OR_RETURN(model.decoder, config.Flag(family.decoder, false));
  }
  if (!family.query_norm.empty()) {
    ATTEND_ASSIGN_OR_RETURN(model.norm_epsilon, config.Positive("rms_norm_eps"));
  }
  return model;
}

}  // namespace attend
