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

// Sets options. `target` is [B, H, Lq, Lk], to which terms broadcast.
struct NamedOptions {
  std::string name;
  std::function<void(AttentionOptions& options, const Shape& target, Draw& draw)> set;
};

// Every option of a request at several values, and some combinations.
std::vector<NamedOptions> AllOptions();

// The name of a type: "f32", "bf16", "f16".
std::string ShortName(DataType type);

// Returns one of the three float types, in turn.
DataType TypeInTurn(size_t index);

// The numbers of query and key rows of each sequence.
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

// The shape [B, H, Lq, Lk] of a request.
Shape ScoreShape(const OperatorShape& shape);

Case MakeOperatorCase(std::string name, const OperatorShape& shape, const NamedOptions& options);

// The cases of the operator.
std::vector<Case> OptionCases();
std::vector<Case> ShapeCases();
std::vector<Case> LongCases();  // split keys, shared tiles
std::vector<Case> NonFiniteCases();

// The properties of a layer that its cases depend on.
struct LayerToHash {
  LayerConfig config;
  bool biases = true;
};

// The layers of every setting, each in every compute type.
std::vector<LayerToHash> LayersToHash();

// Draws parameters from the layer's name. FAILED_PRECONDITION if this SIMD path has no such
// layer.
absl::StatusOr<std::unique_ptr<const Layer>> MakeLayerToHash(const LayerToHash& layer);

std::vector<Case> LayerCases(const std::vector<LayerToHash>& layers);

// Returns the cases of a checkpoint's layer.
std::vector<Case> CheckpointCases(const LayerConfig& config);

}  // namespace attend

#endif  // ATTEND_TESTS_HASHES_CASE_H_
