// SPDX-License-Identifier: Apache-2.0
#include "server/codec/request_decoder.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "attend/v1/attention.pb.h"
#include "server/codec/fields.h"
#include "server/codec/options_decoder.h"
#include "server/codec/tensor_decoder.h"

namespace attend {
namespace {

constexpr FieldPath kQuery{nullptr, "query"};
constexpr FieldPath kKey{nullptr, "key"};
constexpr FieldPath kValue{nullptr, "value"};
constexpr FieldPath kQueryLengths{nullptr, "query_lengths"};
constexpr FieldPath kKeyLengths{nullptr, "key_lengths"};
constexpr FieldPath kOptions{nullptr, "options"};
constexpr FieldPath kLayout{nullptr, "layout"};
constexpr FieldPath kPriority{nullptr, "priority"};

constexpr EnumValue<Layout> kLayouts[] = {{v1::LAYOUT_UNSPECIFIED, Layout::kBlhd},
                                          {v1::LAYOUT_BLHD, Layout::kBlhd},
                                          {v1::LAYOUT_BHLD, Layout::kBhld}};

constexpr EnumValue<Priority> kPriorities[] = {{v1::PRIORITY_UNSPECIFIED, Priority::kNormal},
                                               {v1::PRIORITY_HIGH, Priority::kHigh},
                                               {v1::PRIORITY_NORMAL, Priority::kNormal},
                                               {v1::PRIORITY_LOW, Priority::kLow}};

// What the wire says of the fields that both requests have, before enums are checked and tensors
// are copied.
struct CommonParts {
  std::optional<TensorParts> query, key, value;
  OptionsParts options;
  int priority = 0;
};

// Reads the message. `Wire` has the numbers of the common fields; `own` is the number of the only
// other field, which read_own(tag) reads.
template <typename Wire, typename Request, typename ReadOwn>
absl::Status ReadRequest(WireReader& wire, const DecodeLimits& limits, uint32_t own,
                         ReadOwn read_own, CommonParts& parts, Request& request) {
  return ReadMessage(wire, kRootPath, [&](WireTag tag) {
    if (tag.field == own) return read_own(tag);
    switch (tag.field) {
      case Wire::kQueryFieldNumber:
        return ReadTensor(wire, kQuery, tag, UnknownFields::kSkip, parts.query);
      case Wire::kKeyFieldNumber:
        return ReadTensor(wire, kKey, tag, UnknownFields::kSkip, parts.key);
      case Wire::kValueFieldNumber:
        return ReadTensor(wire, kValue, tag, UnknownFields::kSkip, parts.value);
      case Wire::kQueryLengthsFieldNumber:
        return ReadInt64s(wire, kQueryLengths, tag, limits.max_sequences, request.query_lengths);
      case Wire::kKeyLengthsFieldNumber:
        return ReadInt64s(wire, kKeyLengths, tag, limits.max_sequences, request.key_lengths);
      case Wire::kOptionsFieldNumber:
        return ReadOptions(wire, kOptions, tag, limits, parts.options);
      case Wire::kPriorityFieldNumber:
        return ReadEnum(wire, kPriority, tag, parts.priority);
      default:
        return SkipUnknown(wire, kRootPath, tag);
    }
  });
}

// Checks and copies what both requests have, but for key and value.
template <typename Request>
absl::Status MakeCommon(const WireReader& wire, CommonParts& parts, Request& request) {
  ATTEND_ASSIGN_OR_RETURN(request.priority, DecodeEnum(kPriority, parts.priority, kPriorities));
  ATTEND_ASSIGN_OR_RETURN(request.query, MakeRequired(wire, kQuery, parts.query));
  ATTEND_ASSIGN_OR_RETURN(request.options, MakeOptions(wire, kOptions, std::move(parts.options)));
  return absl::OkStatus();
}

template <typename T>
size_t BytesOf(const std::vector<T>& list) {
  return list.capacity() * sizeof(T);
}

}  // namespace

absl::StatusOr<MultiHeadAttentionRequest> DecodeMultiHeadAttentionRequest(
    const WireBytes& message, const DecodeLimits& limits) {
  using Wire = v1::MultiHeadAttentionRequest;
  WireReader wire(message, limits.MaxFields());
  MultiHeadAttentionRequest request;
  CommonParts parts;
  const auto read_layer = [&](WireTag tag) {
    return ReadString(wire, {nullptr, "layer"}, tag, kMaxNameBytes, request.layer);
  };
  ATTEND_RETURN_IF_ERROR(
      ReadRequest<Wire>(wire, limits, Wire::kLayerFieldNumber, read_layer, parts, request));
  ATTEND_RETURN_IF_ERROR(MakeCommon(wire, parts, request));
  ATTEND_ASSIGN_OR_RETURN(request.key, MakeOptional(wire, kKey, parts.key));
  ATTEND_ASSIGN_OR_RETURN(request.value, MakeOptional(wire, kValue, parts.value));
  return request;
}

absl::StatusOr<ScaledDotProductAttentionRequest> DecodeScaledDotProductAttentionRequest(
    const WireBytes& message, const DecodeLimits& limits) {
  using Wire = v1::ScaledDotProductAttentionRequest;
  WireReader wire(message, limits.MaxFields());
  ScaledDotProductAttentionRequest request;
  CommonParts parts;
  int layout = 0;
  const auto read_layout = [&](WireTag tag) { return ReadEnum(wire, kLayout, tag, layout); };
  ATTEND_RETURN_IF_ERROR(
      ReadRequest<Wire>(wire, limits, Wire::kLayoutFieldNumber, read_layout, parts, request));
  ATTEND_ASSIGN_OR_RETURN(request.layout, DecodeEnum(kLayout, layout, kLayouts));
  ATTEND_RETURN_IF_ERROR(MakeCommon(wire, parts, request));
  ATTEND_ASSIGN_OR_RETURN(request.key, MakeRequired(wire, kKey, parts.key));
  ATTEND_ASSIGN_OR_RETURN(request.value, MakeRequired(wire, kValue, parts.value));
  return request;
}

size_t ListBytes(const Request& request) {
  return std::visit(
      [](const auto& of) {
        return BytesOf(of.query_lengths) + BytesOf(of.key_lengths) +
               BytesOf(of.options.query_offsets) + BytesOf(of.options.sinks) +
               BytesOf(of.options.head_gates);
      },
      request);
}

}  // namespace attend
