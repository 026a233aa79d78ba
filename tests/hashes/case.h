// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_HASHES_CASE_H_
#define ATTEND_TESTS_HASHES_CASE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/engine/request.h"
#include "core/layer/layer.h"
#include "tests/hashes/draw.h"

namespace attend {

// One request whose answer is hashed.
struct Case {
  std::string name;   // unique, without spaces
  std::string layer;  // empty: the bare operator
  std::function<Request(Draw&)> make;
};

// A way to set options. `target` is [B, H, Lq, Lk], to which terms broadcast.
struct NamedOptions {
  std::string name;
  std::function<void(AttentionOptions& options, const Shape& target, Draw& draw)> set;
};

// Every option of a request at several values, and some together.
std::vector<NamedOptions> AllOptions();

// "f32", "bf16", "f16"
std::string ShortName(DataType type);

// One of the three float types, in turn.
DataType TypeInTurn(size_t index);

// Query and key rows of each sequence.
using Lengths = std::vector<std::pair<int64_t, int64_t>>;
int64_t LongestQuery(const Lengths& lengths);
int64_t LongestKey(const Lengths& lengths);

struct OperatorShape {
  enum class Form { kPacked, kBlhd, kBhld };

  Lengths lengths;
  int64_t heads = 4, kv_heads = 2;
  int64_t width = 32, value_width = 32;
  DataType type = DataType::kFloat32;
  Form form = Form::kBlhd;
  int64_t padding = 0;  // rows beyond the longest, where dense
};

ScaledDotProductAttentionRequest MakeOperatorRequest(const OperatorShape& shape, Draw& draw);

// [B, H, Lq, Lk]
Shape ScoreShape(const OperatorShape& shape);

Case MakeOperatorCase(std::string name, const OperatorShape& shape, const NamedOptions& options);

// The cases of the operator.
std::vector<Case> OptionCases();
std::vector<Case> ShapeCases();
std::vector<Case> LongCases();  // split keys, shared tiles
std::vector<Case> NonFiniteCases();

// What a case needs to know of a layer.
struct LayerToHash {
  LayerConfig config;
  bool biases = true;
};

// Layers of every setting, each in every compute type.
std::vector<LayerToHash> LayersToHash();

// Parameters from the layer's name. FAILED_PRECONDITION where this SIMD path has no such layer.
absl::StatusOr<std::unique_ptr<const Layer>> MakeLayerToHash(const LayerToHash& layer);

std::vector<Case> LayerCases(const std::vector<LayerToHash>& layers);

// Cases of a checkpoint's layer.
std::vector<Case> CheckpointCases(const LayerConfig& config);

}  // namespace attend

#endif  // ATTEND_TESTS_HASHES_CASE_H_
