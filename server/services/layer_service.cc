// SPDX-License-Identifier: Apache-2.0
#include "server/services/layer_service.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/quoted.h"
#include "core/base/status.h"
#include "server/calls/message_call.h"

namespace attend {
namespace {

constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;
constexpr absl::string_view kTokenPrefix = "after:";

void Fill(const RotaryConfig& config, v1::Rotary& rotary) {
  rotary.set_width(config.width);
  rotary.set_theta(config.theta);
  rotary.set_interleaved(config.layout == RotaryConfig::Layout::kInterleaved);
  rotary.set_factor(config.scaling == RotaryConfig::Scaling::kNone ? 1.0 : config.factor);
  if (config.scaling != RotaryConfig::Scaling::kLlama3) return;
  v1::Llama3Scaling& llama3 = *rotary.mutable_llama3();
  llama3.set_low_frequency_factor(config.low_frequency_factor);
  llama3.set_high_frequency_factor(config.high_frequency_factor);
  llama3.set_original_max_position(config.original_max_position);
}

void Fill(const RelativeBiasConfig& config, v1::RelativeBias& relative) {
  relative.set_buckets(config.buckets);
  relative.set_max_distance(config.max_distance);
  relative.set_bidirectional(config.bidirectional);
}

void Fill(const ModelPlace& from, v1::ModelPlace& place) {
  place.set_model(from.model);
  place.set_family(from.family);
  place.set_decoder(from.decoder);
  place.set_stack(from.stack);
  place.set_index(from.index);
  place.set_count(from.count);
}

void Fill(const LayerRegistry::Entry& entry, v1::LayerInfo& info) {
  const Layer& layer = *entry.layer;
  const LayerConfig& config = layer.config();
  info.set_name(config.name);
  info.set_embed_dim(config.embed_dim);
  info.set_key_dim(config.key_dim);
  info.set_value_dim(config.value_dim);
  info.set_num_heads(config.num_heads);
  info.set_num_kv_heads(config.num_kv_heads);
  info.set_head_dim(config.head_dim);
  info.set_value_head_dim(config.value_head_dim);
  info.set_query_bias(layer.has_query_bias());
  info.set_key_bias(layer.has_key_bias());
  info.set_value_bias(layer.has_value_bias());
  info.set_output_bias(layer.has_output_bias());
  info.set_scale(config.scale);
  for (const int64_t head : config.pruned_heads) info.add_pruned_heads(head);
  info.set_compute_type(config.compute == ComputeType::kBFloat16 ? v1::DATA_TYPE_BFLOAT16
                                                                 : v1::DATA_TYPE_FLOAT32);
  info.set_parameter_count(layer.parameter_count());
  info.set_sha256(config.sha256);
  if (config.softcap != 0.0f) info.set_softcap(config.softcap);
  if (config.window_left.has_value()) info.set_window_left(*config.window_left);
  if (config.window_right.has_value()) info.set_window_right(*config.window_right);
  if (config.rotary.has_value()) Fill(*config.rotary, *info.mutable_rotary());
  if (config.relative_bias.has_value()) {
    Fill(*config.relative_bias, *info.mutable_relative_bias());
  }
  if (config.place.has_value()) Fill(*config.place, *info.mutable_model_place());
  info.set_generation(entry.generation);
  if (config.query_key_norm) info.mutable_query_key_norm()->set_epsilon(config.norm_epsilon);
}

}  // namespace

absl::Status ListLayers(const LayerRegistry& layers, const v1::ListLayersRequest& request,
                        v1::ListLayersResponse& response) {
  if (request.page_size() < 0) {
    return InvalidField("page_size", absl::StrCat("must be 0 or more; got ", request.page_size()));
  }
  const int size =
      request.page_size() == 0 ? kDefaultPageSize : std::min(request.page_size(), kMaxPageSize);
  const LayerRegistry::Layers held = layers.layers();
  auto it = held.begin();
  if (!request.page_token().empty()) {
    absl::string_view name = request.page_token();
    if (absl::ConsumePrefix(&name, kTokenPrefix)) {
      it = held.find(name);
    } else {
      it = held.end();
    }
    if (it == held.end()) {
      return InvalidField("page_token", "was not issued by this server");
    }
    ++it;
  }
  for (; it != held.end() && response.layers_size() < size; ++it) {
    Fill(it->second, *response.add_layers());
  }
  if (it != held.end() && response.layers_size() > 0) {
    response.set_next_page_token(
        absl::StrCat(kTokenPrefix, response.layers(response.layers_size() - 1).name()));
  }
  return absl::OkStatus();
}

absl::Status GetLayer(const LayerRegistry& layers, const v1::GetLayerRequest& request,
                      v1::LayerInfo& response) {
  const LayerRegistry::Layers held = layers.layers();
  const auto layer = held.find(request.name());
  if (layer == held.end()) {
    return MakeError(absl::StatusCode::kNotFound, "UNKNOWN_LAYER", "name",
                     absl::StrCat("no layer is named ", Quoted(request.name()),
                                  "; LayerService.ListLayers lists the names"));
  }
  Fill(layer->second, response);
  return absl::OkStatus();
}

void AddLayerService(const LayerRegistry& layers, Metrics& metrics, Routes& routes) {
  routes[MethodPath(Method::kListLayers)] =
      AnswerWith(AnswerMessages<v1::ListLayersRequest, v1::ListLayersResponse>(
                     [&layers](const auto& in, auto& out) { return ListLayers(layers, in, out); }),
                 metrics, Method::kListLayers);
  routes[MethodPath(Method::kGetLayer)] =
      AnswerWith(AnswerMessages<v1::GetLayerRequest, v1::LayerInfo>(
                     [&layers](const auto& in, auto& out) { return GetLayer(layers, in, out); }),
                 metrics, Method::kGetLayer);
}

}  // namespace attend
