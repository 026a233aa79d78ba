// SPDX-License-Identifier: Apache-2.0
#include "server/codec/options_decoder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "attend/v1/attention.pb.h"

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
      return InvalidField(path.ToString(), absl::StrCat("has the unknown value ", value),
                          "UNKNOWN_ENUM_VALUE");
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
      return InvalidField(path.ToString(), absl::StrCat("has the unknown value ", value),
                          "UNKNOWN_ENUM_VALUE");
  }
}

absl::StatusOr<WeightsStage> DecodeWeightsStage(const FieldPath& path, int value) {
  switch (value) {
    case v1::WEIGHTS_STAGE_UNSPECIFIED:
    case v1::WEIGHTS_STAGE_PROBABILITIES:
      return WeightsStage::kProbabilities;
    case v1::WEIGHTS_STAGE_SCALED:
      return WeightsStage::kScaled;
    case v1::WEIGHTS_STAGE_SOFTCAPPED:
      return WeightsStage::kSoftcapped;
    case v1::WEIGHTS_STAGE_BIASED:
      return WeightsStage::kBiased;
    default:
      return InvalidField(path.ToString(), absl::StrCat("has the unknown value ", value),
                          "UNKNOWN_ENUM_VALUE");
  }
}

absl::Status ReadOptionalTensor(WireReader& wire, const FieldPath& path, WireTag tag,
                                std::optional<TensorParts>& parts) {
  if (!parts.has_value()) parts.emplace();
  return ReadTensor(wire, path, tag, UnknownFields::kRefuse, *parts);
}

}  // namespace

absl::Status ReadOptions(WireReader& wire, const FieldPath& path, WireTag tag,
                         const DecodeLimits& limits, OptionsParts& parts) {
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
        return ReadInt64s(wire, {&path, "query_offsets"}, field, limits.max_sequences,
                          parts.query_offsets);
      case Wire::kWindowLeftFieldNumber:
        return ReadInt64(wire, {&path, "window_left"}, field, parts.window_left.emplace());
      case Wire::kWindowRightFieldNumber:
        return ReadInt64(wire, {&path, "window_right"}, field, parts.window_right.emplace());
      case Wire::kSoftcapFieldNumber:
        return ReadFloat(wire, {&path, "softcap"}, field, parts.softcap.emplace());
      case Wire::kBiasFieldNumber:
        return ReadOptionalTensor(wire, {&path, "bias"}, field, parts.bias);
      case Wire::kMaskFieldNumber:
        return ReadOptionalTensor(wire, {&path, "mask"}, field, parts.mask);
      case Wire::kAlibiSlopesFieldNumber:
        return ReadOptionalTensor(wire, {&path, "alibi_slopes"}, field, parts.alibi_slopes);
      case Wire::kSinksFieldNumber:
        return ReadFloats(wire, {&path, "sinks"}, field, limits.max_heads, parts.sinks);
      case Wire::kHeadGatesFieldNumber:
        return ReadFloats(wire, {&path, "head_gates"}, field, limits.max_heads, parts.head_gates);
      case Wire::kWeightsFieldNumber:
        return ReadEnum(wire, {&path, "weights"}, field, parts.weights);
      case Wire::kWeightsStageFieldNumber:
        return ReadEnum(wire, {&path, "weights_stage"}, field, parts.weights_stage);
      case Wire::kLogSumExpFieldNumber:
        return ReadBool(wire, {&path, "log_sum_exp"}, field, parts.log_sum_exp);
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
  options.window_left = parts.window_left;
  options.window_right = parts.window_right;
  options.softcap = parts.softcap;
  if (parts.bias.has_value()) {
    ATTEND_ASSIGN_OR_RETURN(options.bias, MakeTensor(wire, {&path, "bias"}, *parts.bias));
  }
  if (parts.mask.has_value()) {
    ATTEND_ASSIGN_OR_RETURN(options.mask, MakeTensor(wire, {&path, "mask"}, *parts.mask));
  }
  if (parts.alibi_slopes.has_value()) {
    ATTEND_ASSIGN_OR_RETURN(options.alibi_slopes,
                            MakeTensor(wire, {&path, "alibi_slopes"}, *parts.alibi_slopes));
  }
  options.sinks = std::move(parts.sinks);
  options.head_gates = std::move(parts.head_gates);
  ATTEND_ASSIGN_OR_RETURN(options.weights, DecodeWeights({&path, "weights"}, parts.weights));
  ATTEND_ASSIGN_OR_RETURN(options.weights_stage,
                          DecodeWeightsStage({&path, "weights_stage"}, parts.weights_stage));
  options.log_sum_exp = parts.log_sum_exp;
  return options;
}

}  // namespace attend
