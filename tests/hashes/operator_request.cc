// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "tests/hashes/case.h"

namespace attend {

using Form = OperatorShape::Form;

std::string ShortName(DataType type) {
  return type == DataType::kFloat32 ? "f32" : type == DataType::kBFloat16 ? "bf16" : "f16";
}

DataType TypeInTurn(size_t index) {
  constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kBFloat16, DataType::kFloat16};
  return kTypes[index % 3];
}

int64_t LongestQuery(const Lengths& lengths) {
  int64_t longest = 0;
  for (const auto& [query, key] : lengths) longest = std::max(longest, query);
  return longest;
}

int64_t LongestKey(const Lengths& lengths) {
  int64_t longest = 0;
  for (const auto& [query, key] : lengths) longest = std::max(longest, key);
  return longest;
}

Shape ScoreShape(const OperatorShape& shape) {
  const int64_t padding = shape.form == Form::kPacked ? 0 : shape.padding;
  return {static_cast<int64_t>(shape.lengths.size()), shape.heads,
          LongestQuery(shape.lengths) + padding, LongestKey(shape.lengths) + padding};
}

ScaledDotProductAttentionRequest MakeOperatorRequest(const OperatorShape& shape, Draw& draw) {
  ScaledDotProductAttentionRequest request;
  int64_t query_rows = 0, key_rows = 0;
  for (const auto& [query, key] : shape.lengths) {
    request.query_lengths.push_back(query);
    request.key_lengths.push_back(key);
    query_rows += query;
    key_rows += key;
  }
  const Shape scores = ScoreShape(shape);
  const auto operand = [&](int64_t rows, int64_t longest, int64_t heads, int64_t width) {
    switch (shape.form) {
      case Form::kPacked:
        return draw.Floats({rows, heads, width}, shape.type);
      case Form::kBlhd:
        return draw.Floats({scores[0], longest, heads, width}, shape.type);
      default:
        return draw.Floats({scores[0], heads, longest, width}, shape.type);
    }
  };
  request.query = operand(query_rows, scores[2], shape.heads, shape.width);
  request.key = operand(key_rows, scores[3], shape.kv_heads, shape.width);
  request.value = operand(key_rows, scores[3], shape.kv_heads, shape.value_width);
  request.layout = shape.form == Form::kBhld ? Layout::kBhld : Layout::kBlhd;
  return request;
}

Case MakeOperatorCase(std::string name, const OperatorShape& shape, const NamedOptions& options) {
  return {std::move(name), "", [shape, set = options.set](Draw& draw) -> Request {
            ScaledDotProductAttentionRequest request = MakeOperatorRequest(shape, draw);
            set(request.options, ScoreShape(shape), draw);
            return request;
          }};
}

}  // namespace attend
