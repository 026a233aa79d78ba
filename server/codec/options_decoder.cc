#include "server/codec/options_decoder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "attend/v1/attention.pb.h"
#include "server/codec/request_decoder.h"

namespace attend {
namespace {

absl::StatusOr<Alignment> DecodeAlignment(const FieldPath& path, int value) {
  switch (value) {
    case v1::ALIGNMENT_UNSPECIFIED:
      return Alignment::kUnspecified;
    case v1::ALIGNMENT_START:
      return Alignment::kStart;
    case v1::ALIGNMENT_END:
      return Alignment::kEnd;
    default:
      return InvalidField(path.ToString(), absl::StrCat("has the unknown value ", value));
  }
}

absl::StatusOr<WeightsOutput> DecodeWeights(const FieldPath& path, int value) {
  switch (value) {
    case v1::WEIGHTS_UNSPECIFIED:
    case v1::WEIGHTS_NONE:
      return WeightsOutput::kNone;
    case v1::WEIGHTS_PER_HEAD:
      return WeightsOutput::kPerHead;
    case v1::WEIGHTS_MEAN:
      return WeightsOutput::kMean;
    default:
      return InvalidField(path.ToString(), absl::StrCat("has the unknown value ", value));
  }
}

absl::Status ReadOptionalTensor(WireReader& wire, const FieldPath& path, WireTag tag,
                                std::optional<TensorParts>& parts) {
  if (!parts.has_value()) parts.emplace();
  return ReadTensor(wire, path, tag, UnknownFields::kRefuse, *parts);
}

}  // namespace

absl::Status ReadOptions(WireReader& wire, const FieldPath& path, WireTag tag,
                         OptionsParts& parts) {
  using Wire = v1::AttentionOptions;
  return ReadSubmessage(wire, path, tag, [&](WireTag field) {
    switch (field.field) {
      case Wire::kScaleFieldNumber:
        return ReadFloat(wire, {&path, "scale"}, field, parts.scale.emplace());
      case Wire::kCausalFieldNumber:
        return ReadBool(wire, {&path, "causal"}, field, parts.causal);
      case Wire::kAlignmentFieldNumber:
        return ReadEnum(wire, {&path, "alignment"}, field, parts.alignment);
      case Wire::kQueryOffsetsFieldNumber:
        return ReadInt64s(wire, {&path, "query_offsets"}, field, kMaxSequences,
                          parts.query_offsets);
      case Wire::kBiasFieldNumber:
        return ReadOptionalTensor(wire, {&path, "bias"}, field, parts.bias);
      case Wire::kMaskFieldNumber:
        return ReadOptionalTensor(wire, {&path, "mask"}, field, parts.mask);
      case Wire::kHeadGatesFieldNumber:
        return ReadFloats(wire, {&path, "head_gates"}, field, kMaxHeads, parts.head_gates);
      case Wire::kWeightsFieldNumber:
        return ReadEnum(wire, {&path, "weights"}, field, parts.weights);
      default:
        return RefuseUnknown(path, field);
    }
  });
}

absl::StatusOr<AttentionOptions> MakeOptions(const WireReader& wire, const FieldPath& path,
                                             OptionsParts parts) {
  AttentionOptions options;
  options.scale = parts.scale;
  options.causal = parts.causal;
  ATTEND_ASSIGN_OR_RETURN(options.alignment,
                          DecodeAlignment({&path, "alignment"}, parts.alignment));
  options.query_offsets = std::move(parts.query_offsets);
  if (parts.bias.has_value()) {
    ATTEND_ASSIGN_OR_RETURN(options.bias, MakeTensor(wire, {&path, "bias"}, *parts.bias));
  }
  if (parts.mask.has_value()) {
    ATTEND_ASSIGN_OR_RETURN(options.mask, MakeTensor(wire, {&path, "mask"}, *parts.mask));
  }
  options.head_gates = std::move(parts.head_gates);
  ATTEND_ASSIGN_OR_RETURN(options.weights, DecodeWeights({&path, "weights"}, parts.weights));
  return options;
}

}  // namespace attend
