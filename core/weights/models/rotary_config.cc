// SPDX-License-Identifier: Apache-2.0
#include "core/weights/models/rotary_config.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"
#include "core/base/status.h"

namespace attend {
namespace {

// The value of an absent rope_theta in every family of the table, also where rope_scaling or
// rope_parameters are given (transformers 5.23.0, RotaryEmbeddingConfigMixin.default_theta; GPT-J,
// which has no such key, computes with it: modeling_gptj.py).
constexpr double kDefaultTheta = 10000.0;

// Refuses keys that the model class ignores, whose effect on a layer would be wrong.
absl::Status CheckFixed(const ConfigReader& config, const ModelFamily& family) {
  for (const absl::string_view key : {"rope_theta", "rope_scaling", "rope_parameters"}) {
    if (!config.Has(key)) continue;
    return config.Error(absl::StrCat(Quoted(key), " is set, but models of type ",
                                     Quoted(family.model_type), " always have a theta of ",
                                     kDefaultTheta, " and no scaling"));
  }
  return absl::OkStatus();
}

// Finds a number among the outer keys, in the object, or in both if the two are equal.
absl::StatusOr<double> FindInEither(const ConfigReader& config,
                                    const std::optional<ConfigReader>& object,
                                    absl::string_view key, double default_value) {
  ATTEND_ASSIGN_OR_RETURN(const double outer, config.Positive(key, default_value));
  if (!object.has_value()) return outer;
  ATTEND_ASSIGN_OR_RETURN(const double inner, object->Positive(key, outer));
  if (config.Has(key) && inner != outer) {
    return object->Error(
        absl::StrCat(Quoted(key), " is ", inner, " here, but ", outer, " outside of the object"));
  }
  return inner;
}

// Finds the object with the settings of the rotary embedding, if there is one.
absl::StatusOr<std::optional<ConfigReader>> FindObject(const ConfigReader& config) {
  const bool scaling = config.Has("rope_scaling");
  if (!scaling && !config.Has("rope_parameters")) return std::optional<ConfigReader>();
  if (scaling && config.Has("rope_parameters")) {
    return config.Error(
        "\"rope_scaling\" and \"rope_parameters\" are both given; only one is allowed");
  }
  ATTEND_ASSIGN_OR_RETURN(ConfigReader object,
                          config.Object(scaling ? "rope_scaling" : "rope_parameters"));
  return std::optional<ConfigReader>(std::move(object));
}

// Reads the type of scaling, which older files call "type" and newer ones "rope_type".
absl::StatusOr<std::string> ReadType(const ConfigReader& object) {
  ATTEND_ASSIGN_OR_RETURN(std::string type, object.Text("type", "default"));
  ATTEND_ASSIGN_OR_RETURN(const std::string rope_type, object.Text("rope_type", type));
  if (object.Has("type") && type != rope_type) {
    return object.Error(
        absl::StrCat("\"type\" is ", Quoted(type), ", but \"rope_type\" is ", Quoted(rope_type)));
  }
  return rope_type;
}

absl::Status ReadScaling(const ConfigReader& object, RotaryConfig& rotary) {
  ATTEND_ASSIGN_OR_RETURN(const std::string type, ReadType(object));
  if (type == "default") {
    return object.CheckKeys({"type", "rope_type", "rope_theta", "partial_rotary_factor"});
  }
  if (type != "linear" && type != "llama3") {
    return object.Error(
        absl::StrCat("type ", Quoted(type), " is not supported; default, linear and llama3 are"));
  }
  ATTEND_ASSIGN_OR_RETURN(rotary.factor, object.Positive("factor"));
  if (type == "linear") {
    rotary.scaling = RotaryConfig::Scaling::kLinear;
    return object.CheckKeys({"type", "rope_type", "rope_theta", "partial_rotary_factor", "factor"});
  }
  rotary.scaling = RotaryConfig::Scaling::kLlama3;
  ATTEND_ASSIGN_OR_RETURN(rotary.low_frequency_factor, object.Positive("low_freq_factor"));
  ATTEND_ASSIGN_OR_RETURN(rotary.high_frequency_factor, object.Positive("high_freq_factor"));
  if (rotary.high_frequency_factor <= rotary.low_frequency_factor) {
    return object.Error("\"high_freq_factor\" is not above \"low_freq_factor\"");
  }
  ATTEND_ASSIGN_OR_RETURN(rotary.original_max_position,
                          object.Size("original_max_position_embeddings"));
  return object.CheckKeys({"type", "rope_type", "rope_theta", "partial_rotary_factor", "factor",
                           "low_freq_factor", "high_freq_factor",
                           "original_max_position_embeddings"});
}

// Reads R, the number of features per head that are rotated.
absl::StatusOr<int64_t> ReadWidth(const ConfigReader& config,
                                  const std::optional<ConfigReader>& object,
                                  const ModelFamily& family, int64_t head_dim) {
  int64_t width = head_dim;
  if (!family.rotary_width.empty()) {
    ATTEND_ASSIGN_OR_RETURN(width, config.Size(family.rotary_width));
  } else {
    constexpr absl::string_view kPart = "partial_rotary_factor";
    ATTEND_ASSIGN_OR_RETURN(const double part,
                            FindInEither(config, object, kPart, family.partial_rotary_factor));
    if (part != family.partial_rotary_factor && family.partial_rotary_factor == 1.0) {
      return config.Error(absl::StrCat(Quoted(kPart), " is ", part, "; models of type ",
                                       Quoted(family.model_type),
                                       " rotate all features of a head"));
    }
    if (part > 1.0) return config.Error(absl::StrCat(Quoted(kPart), " is above 1"));
    width = static_cast<int64_t>(static_cast<double>(head_dim) * part);
  }
  if (width < 2 || width > head_dim || width % 2 != 0) {
    return config.Error(absl::StrCat("the rotary embedding has a width of ", width,
                                     "; it must be an even number from 2 to the head dimension, ",
                                     head_dim));
  }
  return width;
}

}  // namespace

absl::StatusOr<RotaryConfig> ReadRotaryConfig(const ConfigReader& config, const ModelFamily& family,
                                              int64_t head_dim) {
  if (family.fixed_rotary) ATTEND_RETURN_IF_ERROR(CheckFixed(config, family));
  ATTEND_ASSIGN_OR_RETURN(const std::optional<ConfigReader> object, FindObject(config));
  RotaryConfig rotary;
  if (family.rotary == ModelFamily::Rotary::kInterleaved) {
    rotary.layout = RotaryConfig::Layout::kInterleaved;
  }
  if (object.has_value()) ATTEND_RETURN_IF_ERROR(ReadScaling(*object, rotary));
  ATTEND_ASSIGN_OR_RETURN(rotary.theta, FindInEither(config, object, "rope_theta", kDefaultTheta));
  ATTEND_ASSIGN_OR_RETURN(rotary.width, ReadWidth(config, object, family, head_dim));
  return rotary;
}

}  // namespace attend
