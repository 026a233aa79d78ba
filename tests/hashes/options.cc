// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <utility>

#include "tests/hashes/case.h"

namespace attend {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

using Options = AttentionOptions;

// Adapts a function that needs neither the target nor the draw.
NamedOptions Plain(std::string name, std::function<void(Options&)> set) {
  return {std::move(name), [set = std::move(set)](Options& o, const Shape&, Draw&) { set(o); }};
}

// Returns the axes of `target` that `keep` names ("bhqk"); the others are 1.
Shape Broadcast(const Shape& target, const std::string& keep) {
  const std::string axes = "bhqk";
  Shape shape;
  for (size_t axis = 0; axis < axes.size(); ++axis) {
    shape.push_back(keep.find(axes[axis]) == std::string::npos ? 1 : target[axis]);
  }
  return shape;
}

NamedOptions Bias(const std::string& keep, DataType type) {
  return {"bias_" + keep + "_" + ShortName(type), [=](Options& o, const Shape& target, Draw& draw) {
            o.bias = draw.Floats(Broadcast(target, keep), type);
          }};
}

NamedOptions Mask(const std::string& keep) {
  return {"mask_" + keep, [=](Options& o, const Shape& target, Draw& draw) {
            o.mask = draw.Bools(Broadcast(target, keep));
          }};
}

void AddScores(std::vector<NamedOptions>& all) {
  all.push_back(Plain("none", [](Options&) {}));
  const std::pair<const char*, float> scales[] = {
      {"negative", -0.3f}, {"zero", 0.0f}, {"30", 30.0f}, {"1e20", 1e20f}, {"1e-38", 1e-38f}};
  for (const auto& [name, scale] : scales) {
    const float value = scale;
    all.push_back(Plain(std::string("scale_") + name, [value](Options& o) { o.scale = value; }));
  }
  all.push_back(Plain("softcap", [](Options& o) { o.softcap = 2.0f; }));
  all.push_back(Plain("softcap_scale_1e4", [](Options& o) {
    o.softcap = 50.0f;
    o.scale = 1e4f;
  }));
  all.push_back({"alibi_h", [](Options& o, const Shape& target, Draw& draw) {
                   o.alibi_slopes = draw.Floats({target[1]}, DataType::kFloat32);
                   o.alignment = Alignment::kEnd;
                 }});
  all.push_back({"alibi_bh_start", [](Options& o, const Shape& target, Draw& draw) {
                   o.alibi_slopes = draw.Floats({target[0], target[1]}, DataType::kFloat32);
                   o.alignment = Alignment::kStart;
                 }});
}

void AddPositions(std::vector<NamedOptions>& all) {
  const auto position = [&](std::string name, bool causal, Alignment alignment,
                            std::optional<int64_t> left, std::optional<int64_t> right) {
    all.push_back(Plain(std::move(name), [=](Options& o) {
      o.causal = causal;
      o.alignment = alignment;
      o.window_left = left;
      o.window_right = right;
    }));
  };
  position("causal_start", true, Alignment::kStart, {}, {});
  position("causal_end", true, Alignment::kEnd, {}, {});
  position("left_0", false, Alignment::kEnd, 0, {});
  position("left_9", false, Alignment::kEnd, 9, {});
  position("right_3", false, Alignment::kStart, {}, 3);
  position("left_17_right_5", false, Alignment::kEnd, 17, 5);
  position("left_0_right_0", false, Alignment::kStart, 0, 0);
  position("causal_left_20", true, Alignment::kEnd, 20, {});
  const auto offsets = [&](std::string name, int64_t first, int64_t other) {
    all.push_back({std::move(name), [=](Options& o, const Shape& target, Draw&) {
                     o.causal = true;
                     o.query_offsets.assign(static_cast<size_t>(target[0]), other);
                     o.query_offsets.front() = first;
                   }});
  };
  offsets("offsets_5_-7", 5, -7);
  offsets("offsets_-1000_1000", -1000, 1000);
}

void AddTerms(std::vector<NamedOptions>& all) {
  all.push_back(Bias("bhqk", DataType::kFloat32));
  all.push_back(Bias("hk", DataType::kBFloat16));
  all.push_back(Bias("bqk", DataType::kFloat16));
  all.push_back(Bias("q", DataType::kFloat32));
  all.push_back({"bias_axis_k", [](Options& o, const Shape& target, Draw& draw) {
                   o.bias = draw.Floats({target[3]}, DataType::kFloat32);
                 }});
  all.push_back({"bias_infinite", [](Options& o, const Shape& target, Draw& draw) {
                   o.bias = draw.Floats(target, DataType::kFloat32);
                   const size_t count = o.bias->byte_size() / sizeof(float);
                   for (size_t i = 0; i < count; i += 3) o.bias->as<float>()[i] = kMinusInfinity;
                 }});
  all.push_back(Mask("bhqk"));
  all.push_back(Mask("bk"));
  all.push_back(Mask("hq"));
  all.push_back({"mask_axes_qk", [](Options& o, const Shape& target, Draw& draw) {
                   o.mask = draw.Bools({target[2], target[3]});
                 }});
  all.push_back({"mask_last_keys", [](Options& o, const Shape& target, Draw&) {
                   o.mask = Tensor(DataType::kBool, {target[3]});
                   const int64_t first = target[3] * 3 / 5;
                   for (int64_t k = 0; k < target[3]; ++k)
                     o.mask->data()[k] = std::byte{k >= first};
                   o.log_sum_exp = true;
                 }});
  all.push_back({"mask_nothing_readable", [](Options& o, const Shape& target, Draw&) {
                   o.mask = Tensor(DataType::kBool, {target[0], 1, 1, 1});
                   for (int64_t b = 0; b < target[0]; ++b) o.mask->data()[b] = std::byte{b > 0};
                 }});
}

void AddHeads(std::vector<NamedOptions>& all) {
  all.push_back({"sinks", [](Options& o, const Shape& target, Draw& draw) {
                   o.sinks = draw.Numbers(target[1], 1.0f);
                   o.log_sum_exp = true;
                 }});
  all.push_back({"sinks_infinite", [](Options& o, const Shape& target, Draw& draw) {
                   o.sinks = draw.Numbers(target[1], 3.0f);
                   for (size_t h = 0; h < o.sinks.size(); h += 2) o.sinks[h] = kMinusInfinity;
                 }});
  all.push_back({"gates", [](Options& o, const Shape& target, Draw& draw) {
                   o.head_gates = draw.Numbers(target[1], 1.0f);
                   o.head_gates.front() = 0.0f;
                 }});
  const std::pair<const char*, WeightsOutput> weights[] = {{"per_head", WeightsOutput::kPerHead},
                                                           {"mean", WeightsOutput::kMean}};
  for (const auto& [name, output] : weights) {
    const auto value = output;
    all.push_back({std::string("gate_0_weights_") + name,
                   [value](Options& o, const Shape& target, Draw& draw) {
                     o.head_gates = draw.Numbers(target[1], 1.0f);
                     o.head_gates.back() = 0.0f;
                     o.weights = value;
                     o.log_sum_exp = true;
                   }});
  }
  all.push_back({"gates_0_biased_weights", [](Options& o, const Shape& target, Draw&) {
                   o.head_gates.assign(static_cast<size_t>(target[1]), 0.0f);
                   o.weights = WeightsOutput::kPerHead;
                   o.weights_stage = WeightsStage::kBiased;
                 }});
}

void AddOutputs(std::vector<NamedOptions>& all) {
  all.push_back(Plain("log_sum_exp", [](Options& o) { o.log_sum_exp = true; }));
  all.push_back(Plain("weights_mean", [](Options& o) { o.weights = WeightsOutput::kMean; }));
  const std::pair<const char*, WeightsStage> stages[] = {
      {"probabilities", WeightsStage::kProbabilities},
      {"scaled", WeightsStage::kScaled},
      {"softcapped", WeightsStage::kSoftcapped},
      {"biased", WeightsStage::kBiased}};
  for (const auto& [name, stage] : stages) {
    const auto value = stage;
    all.push_back(Plain(std::string("weights_") + name, [value](Options& o) {
      o.weights = WeightsOutput::kPerHead;
      o.weights_stage = value;
    }));
    all.push_back(
        {std::string("all_weights_") + name, [value](Options& o, const Shape& target, Draw& draw) {
           o.weights = WeightsOutput::kPerHead;
           o.weights_stage = value;
           o.softcap = 3.0f;
           o.bias = draw.Floats(Broadcast(target, "hqk"), DataType::kBFloat16);
           o.mask = draw.Bools(Broadcast(target, "bqk"));
           o.alibi_slopes = draw.Floats({target[1]}, DataType::kFloat32);
           o.causal = true;
           o.window_left = 30;
           o.alignment = Alignment::kEnd;
           o.sinks = draw.Numbers(target[1], 1.0f);
           o.head_gates = draw.Numbers(target[1], 1.0f);
           o.log_sum_exp = true;
         }});
  }
  all.push_back({"gates_weights_mean_mask", [](Options& o, const Shape& target, Draw& draw) {
                   o.weights = WeightsOutput::kMean;
                   o.head_gates = draw.Numbers(target[1], 1.0f);
                   o.mask = draw.Bools(target);
                 }});
}

}  // namespace

std::vector<NamedOptions> AllOptions() {
  std::vector<NamedOptions> all;
  AddScores(all);
  AddPositions(all);
  AddTerms(all);
  AddHeads(all);
  AddOutputs(all);
  return all;
}

}  // namespace attend
