// SPDX-License-Identifier: Apache-2.0
#include "core/attention/cost.h"

#include <algorithm>

namespace attend {
namespace {

// The sum over rows i of clamp(first + i, 0, keys).
double SumOfClamped(double first, double rows, double keys) {
  const double zero = std::clamp(-first, 0.0, rows);         // rows that add 0
  const double full = std::clamp(keys - first, zero, rows);  // rows before those that add all keys
  const double rising = full - zero;                         // rows in between
  return rising * (first + zero) + rising * (rising - 1.0) / 2.0 + (rows - full) * keys;
}

}  // namespace

double CountReadableElements(const AttentionParams& params, const SequenceArgs& sequence) {
  const auto rows = static_cast<double>(sequence.query_length);
  const auto keys = static_cast<double>(sequence.key_length);
  const auto offset = static_cast<double>(sequence.query_offset);
  const auto right = params.causal ? 0.0 : static_cast<double>(params.window_right.value_or(0));
  // Row i reads keys from clamp(offset + i - left) to clamp(offset + i + right + 1).
  double elements = rows * keys;
  if (params.causal || params.window_right.has_value()) {
    elements = SumOfClamped(offset + right + 1.0, rows, keys);
  }
  if (params.window_left.has_value()) {
    const auto left = static_cast<double>(*params.window_left);
    elements -= SumOfClamped(offset - left, rows, keys);
  }
  return elements;
}

double AttentionFlops(const HeadShape& heads, const AttentionParams& params,
                      const SequenceArgs& sequence) {
  const double open_heads = static_cast<double>(heads.num_heads - params.CountClosedGates());
  return 2.0 * open_heads * CountReadableElements(params, sequence) *
         static_cast<double>(heads.head_dim + heads.value_head_dim);
}

double AttentionBytes(const HeadShape& heads, DataType type, const SequenceArgs& sequence) {
  const auto rows = static_cast<double>(sequence.query_length);
  const auto keys = static_cast<double>(sequence.key_length);
  const auto query_width = static_cast<double>(heads.num_heads * heads.head_dim);
  const auto key_value_width =
      static_cast<double>(heads.num_kv_heads * (heads.head_dim + heads.value_head_dim));
  return (rows * query_width + keys * key_value_width) * static_cast<double>(ElementSize(type));
}

}  // namespace attend
