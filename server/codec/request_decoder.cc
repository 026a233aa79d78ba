// SPDX-License-Identifier: Apache-2.0
#include "server/codec/request_decoder.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "attend/v1/attention.pb.h"
#include "server/codec/fields.h"
#include "server/codec/options_decoder.h"
#include "server/codec/tensor_decoder.h"

namespace attend {
namespace {

constexpr FieldPath kRoot{nullptr, ""};
constexpr FieldPath kQuery{nullptr, "query"};
constexpr FieldPath kKey{nullptr, "key"};
constexpr FieldPath kValue{nullptr, "value"};
constexpr FieldPath kQueryLengths{nullptr, "query_lengths"};
constexpr FieldPath kKeyLengths{nullptr, "key_lengths"};
constexpr FieldPath kOptions{nullptr, "options"};
constexpr FieldPath kPriority{nullptr, "priority"};

absl::Status ReadOperand(WireReader& wire, const FieldPath& path, WireTag tag,
                         std::optional<TensorParts>& parts) {
  if (!parts.has_value()) parts.emplace();
  return ReadTensor(wire, path, tag, UnknownFields::kSkip, *parts);
}

absl::StatusOr<Tensor> MakeRequired(const WireReader& wire, const FieldPath& path,
                                    const std::optional<TensorParts>& parts) {
  if (!parts.has_value())
    return InvalidField(path.ToString(), "is required and missing", "MISSING_FIELD");
  return MakeTensor(wire, path, *parts);
}

absl::StatusOr<std::optional<Tensor>> MakeOptional(const WireReader& wire, const FieldPath& path,
                                                   const std::optional<TensorParts>& parts) {
  std::optional<Tensor> tensor;
  if (parts.has_value()) {
    ATTEND_ASSIGN_OR_RETURN(tensor, MakeTensor(wire, path, *parts));
  }
  return tensor;
}

// The fields that both requests share.
struct OperandParts {
  std::optional<TensorParts> query, key, value;
  OptionsParts options;
};

absl::StatusOr<Layout> DecodeLayout(int value) {
  switch (value) {
    case v1::LAYOUT_UNSPECIFIED:
    case v1::LAYOUT_BLHD:
      return Layout::kBlhd;
    case v1::LAYOUT_BHLD:
      return Layout::kBhld;
    default:
      return InvalidField("layout", absl::StrCat("has the unknown value ", value),
                          "UNKNOWN_ENUM_VALUE");
  }
}

absl::StatusOr<Priority> DecodePriority(int value) {
  switch (value) {
    case v1::PRIORITY_HIGH:
      return Priority::kHigh;
    case v1::PRIORITY_UNSPECIFIED:
    case v1::PRIORITY_NORMAL:
      return Priority::kNormal;
    case v1::PRIORITY_LOW:
      return Priority::kLow;
    default:
      return InvalidField("priority", absl::StrCat("has the unknown value ", value),
                          "UNKNOWN_ENUM_VALUE");
  }
}

}  // namespace

absl::StatusOr<MultiHeadAttentionRequest> DecodeMultiHeadAttentionRequest(
    const WireBytes& message, const DecodeLimits& limits) {
  using Wire = v1::MultiHeadAttentionRequest;
  WireReader wire(message, limits.MaxFields());
  MultiHeadAttentionRequest request;
  OperandParts parts;
  int priority = 0;
  ATTEND_RETURN_IF_ERROR(ReadMessage(wire, kRoot, [&](WireTag tag) {
    switch (tag.field) {
      case Wire::kLayerFieldNumber:
        return ReadString(wire, {nullptr, "layer"}, tag, kMaxNameBytes, request.layer);
      case Wire::kQueryFieldNumber:
        return ReadOperand(wire, kQuery, tag, parts.query);
      case Wire::kKeyFieldNumber:
        return ReadOperand(wire, kKey, tag, parts.key);
      case Wire::kValueFieldNumber:
        return ReadOperand(wire, kValue, tag, parts.value);
      case Wire::kQueryLengthsFieldNumber:
        return ReadInt64s(wire, kQueryLengths, tag, limits.max_sequences, request.query_lengths);
      case Wire::kKeyLengthsFieldNumber:
        return ReadInt64s(wire, kKeyLengths, tag, limits.max_sequences, request.key_lengths);
      case Wire::kOptionsFieldNumber:
        return ReadOptions(wire, kOptions, tag, limits, parts.options);
      case Wire::kPriorityFieldNumber:
        return ReadEnum(wire, kPriority, tag, priority);
      default:
        return SkipUnknown(wire, kRoot, tag);
    }
  }));
  ATTEND_ASSIGN_OR_RETURN(request.priority, DecodePriority(priority));
  ATTEND_ASSIGN_OR_RETURN(request.query, MakeRequired(wire, kQuery, parts.query));
  ATTEND_ASSIGN_OR_RETURN(request.key, MakeOptional(wire, kKey, parts.key));
  ATTEND_ASSIGN_OR_RETURN(request.value, MakeOptional(wire, kValue, parts.value));
  ATTEND_ASSIGN_OR_RETURN(request.options, MakeOptions(wire, kOptions, std::move(parts.options)));
  return request;
}

absl::StatusOr<ScaledDotProductAttentionRequest> DecodeScaledDotProductAttentionRequest(
    const WireBytes& message, const DecodeLimits& limits) {
  using Wire = v1::ScaledDotProductAttentionRequest;
  WireReader wire(message, limits.MaxFields());
  ScaledDotProductAttentionRequest request;
  OperandParts parts;
  int layout = 0;
  int priority = 0;
  ATTEND_RETURN_IF_ERROR(ReadMessage(wire, kRoot, [&](WireTag tag) {
    switch (tag.field) {
      case Wire::kQueryFieldNumber:
        return ReadOperand(wire, kQuery, tag, parts.query);
      case Wire::kKeyFieldNumber:
        return ReadOperand(wire, kKey, tag, parts.key);
      case Wire::kValueFieldNumber:
        return ReadOperand(wire, kValue, tag, parts.value);
      case Wire::kQueryLengthsFieldNumber:
        return ReadInt64s(wire, kQueryLengths, tag, limits.max_sequences, request.query_lengths);
      case Wire::kKeyLengthsFieldNumber:
        return ReadInt64s(wire, kKeyLengths, tag, limits.max_sequences, request.key_lengths);
      case Wire::kOptionsFieldNumber:
        return ReadOptions(wire, kOptions, tag, limits, parts.options);
      case Wire::kLayoutFieldNumber:
        return ReadEnum(wire, {nullptr, "layout"}, tag, layout);
      case Wire::kPriorityFieldNumber:
        return ReadEnum(wire, kPriority, tag, priority);
      default:
        return SkipUnknown(wire, kRoot, tag);
    }
  }));
  ATTEND_ASSIGN_OR_RETURN(request.layout, DecodeLayout(layout));
  ATTEND_ASSIGN_OR_RETURN(request.priority, DecodePriority(priority));
  ATTEND_ASSIGN_OR_RETURN(request.query, MakeRequired(wire, kQuery, parts.query));
  ATTEND_ASSIGN_OR_RETURN(request.key, MakeRequired(wire, kKey, parts.key));
  ATTEND_ASSIGN_OR_RETURN(request.value, MakeRequired(wire, kValue, parts.value));
  ATTEND_ASSIGN_OR_RETURN(request.options, MakeOptions(wire, kOptions, std::move(parts.options)));
  return request;
}

}  // namespace attend
