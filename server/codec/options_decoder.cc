// SPDX-License-Identifier: Apache-2.0
#include "server/codec/options_decoder.h"

#include <utility>

#include "attend/v1/attention.pb.h"

namespace attend {
namespace {

constexpr EnumValue<Alignment> kAlignments[] = {
    {v1::ALIGNMENT_UNSPECIFIED, Alignment::kUnspecified},
    {v1::ALIGNMENT_START, Alignment::kStart},
    {v1::ALIGNMENT_END, Alignment::kEnd}};

constexpr EnumValue<WeightsOutput> kWeights[] = {{v1::WEIGHTS_UNSPECIFIED, WeightsOutput::kNone},
                                                 {v1::WEIGHTS_NONE, WeightsOutput::kNone},
                                                 {v1::WEIGHTS_PER_HEAD, WeightsOutput::kPerHead},
                                                 {v1::WEIGHTS_MEAN, WeightsOutput::kMean}};

constexpr EnumValue<WeightsStage> kWeightsStages[] = {
    {v1::WEIGHTS_STAGE_UNSPECIFIED, WeightsStage::kProbabilities},
    {v1::WEIGHTS_STAGE_PROBABILITIES, WeightsStage::kProbabilities},
    {v1::WEIGHTS_STAGE_SCALED, WeightsStage::kScaled},
    {v1::WEIGHTS_STAGE_SOFTCAPPED, WeightsStage::kSoftcapped},
    {v1::WEIGHTS_STAGE_BIASED, WeightsStage::kBiased}};

absl::Status ReadOwnTensor(WireReader& wire, const FieldPath& path, WireTag tag,
                           std::optional<TensorParts>& parts) {
  return ReadTensor(wire, path, tag, UnknownFields::kRefuse, parts);
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
        return ReadOwnTensor(wire, {&path, "bias"}, field, parts.bias);
      case Wire::kMaskFieldNumber:
        return ReadOwnTensor(wire, {&path, "mask"}, field, parts.mask);
      case Wire::kAlibiSlopesFieldNumber:
        return ReadOwnTensor(wire, {&path, "alibi_slopes"}, field, parts.alibi_slopes);
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
                          DecodeEnum({&path, "alignment"}, parts.alignment, kAlignments));
  options.query_offsets = std::move(parts.query_offsets);
  options.window_left = parts.window_left;
  options.window_right = parts.window_right;
  options.softcap = parts.softcap;
  ATTEND_ASSIGN_OR_RETURN(options.bias, MakeOptional(wire, {&path, "bias"}, parts.bias));
  ATTEND_ASSIGN_OR_RETURN(options.mask, MakeOptional(wire, {&path, "mask"}, parts.mask));
  ATTEND_ASSIGN_OR_RETURN(options.alibi_slopes,
                          MakeOptional(wire, {&path, "alibi_slopes"}, parts.alibi_slopes));
  options.sinks = std::move(parts.sinks);
  options.head_gates = std::move(parts.head_gates);
  ATTEND_ASSIGN_OR_RETURN(options.weights, DecodeEnum({&path, "weights"}, parts.weights, kWeights));
  ATTEND_ASSIGN_OR_RETURN(options.weights_stage, DecodeEnum({&path, "weights_stage"},
                                                            parts.weights_stage, kWeightsStages));
  options.log_sum_exp = parts.log_sum_exp;
  return options;
}

}  // namespace attend
