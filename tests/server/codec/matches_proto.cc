// SPDX-License-Identifier: Apache-2.0
#include "tests/server/codec/matches_proto.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace attend {
namespace {

template <typename A, typename B>
bool SameElements(const A& a, const B& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// Compares bits, so that a NaN equals itself.
bool SameFloats(const std::vector<float>& a, const google::protobuf::RepeatedField<float>& b) {
  return a.size() == static_cast<size_t>(b.size()) &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

bool SameOptional(const std::optional<Tensor>& tensor, bool present, const v1::Tensor& proto) {
  return tensor.has_value() == present && (!present || Matches(*tensor, proto));
}

template <typename T>
bool SameScalar(const std::optional<T>& value, bool present, T proto) {
  return value.has_value() == present &&
         (!present || std::memcmp(&*value, &proto, sizeof(proto)) == 0);
}

bool Matches(const AttentionOptions& options, const v1::AttentionOptions& proto) {
  return SameScalar(options.scale, proto.has_scale(), proto.scale()) &&
         SameScalar<int64_t>(options.window_left, proto.has_window_left(), proto.window_left()) &&
         SameScalar<int64_t>(options.window_right, proto.has_window_right(),
                             proto.window_right()) &&
         SameScalar(options.softcap, proto.has_softcap(), proto.softcap()) &&
         SameOptional(options.alibi_slopes, proto.has_alibi_slopes(), proto.alibi_slopes()) &&
         SameFloats(options.sinks, proto.sinks()) &&
         static_cast<int>(options.weights_stage) == std::max<int>(proto.weights_stage() - 1, 0) &&
         options.log_sum_exp == proto.log_sum_exp() && options.causal == proto.causal() &&
         static_cast<int>(options.alignment) == proto.alignment() &&
         SameElements(options.query_offsets, proto.query_offsets()) &&
         SameOptional(options.bias, proto.has_bias(), proto.bias()) &&
         SameOptional(options.mask, proto.has_mask(), proto.mask()) &&
         SameFloats(options.head_gates, proto.head_gates()) &&
         static_cast<int>(options.weights) == std::max<int>(proto.weights() - 1, 0);
}

bool Matches(Priority priority, v1::Priority proto) {
  if (proto == v1::PRIORITY_UNSPECIFIED) return priority == Priority::kNormal;
  return static_cast<int>(priority) + 1 == proto;
}

}  // namespace

bool Matches(const Tensor& tensor, const v1::Tensor& proto) {
  return static_cast<int>(tensor.type()) + 1 == proto.data_type() &&
         SameElements(tensor.shape(), proto.shape()) && tensor.byte_size() == proto.data().size() &&
         (proto.data().empty() ||
          std::memcmp(tensor.data(), proto.data().data(), proto.data().size()) == 0);
}

bool Matches(const MultiHeadAttentionRequest& request, const v1::MultiHeadAttentionRequest& proto) {
  return request.layer == proto.layer() && Matches(request.query, proto.query()) &&
         SameOptional(request.key, proto.has_key(), proto.key()) &&
         SameOptional(request.value, proto.has_value(), proto.value()) &&
         SameElements(request.query_lengths, proto.query_lengths()) &&
         SameElements(request.key_lengths, proto.key_lengths()) &&
         Matches(request.options, proto.options()) && Matches(request.priority, proto.priority());
}

bool Matches(const ScaledDotProductAttentionRequest& request,
             const v1::ScaledDotProductAttentionRequest& proto) {
  return Matches(request.query, proto.query()) && Matches(request.key, proto.key()) &&
         Matches(request.value, proto.value()) &&
         SameElements(request.query_lengths, proto.query_lengths()) &&
         SameElements(request.key_lengths, proto.key_lengths()) &&
         Matches(request.options, proto.options()) &&
         static_cast<int>(request.layout) == std::max<int>(proto.layout() - 1, 0) &&
         Matches(request.priority, proto.priority());
}

}  // namespace attend
