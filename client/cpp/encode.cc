// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "attend/v1/attention.pb.h"
#include "client/cpp/codec.h"
#include "client/cpp/status.h"
#include "client/cpp/wire_writer.h"

namespace attend::client::internal {

constexpr ResponseFields kMultiHeadAttentionFields = {
    .in_pipeline_request = v1::PipelineRequest::kMultiHeadAttentionFieldNumber,
    .in_pipeline_response = v1::PipelineResponse::kMultiHeadAttentionFieldNumber,
    .output = v1::MultiHeadAttentionResponse::kOutputFieldNumber,
    .weights = v1::MultiHeadAttentionResponse::kWeightsFieldNumber,
    .layer_sha256 = v1::MultiHeadAttentionResponse::kLayerSha256FieldNumber,
    .timing = v1::MultiHeadAttentionResponse::kTimingFieldNumber,
    .log_sum_exp = v1::MultiHeadAttentionResponse::kLogSumExpFieldNumber,
    .warnings = v1::MultiHeadAttentionResponse::kWarningsFieldNumber};

constexpr ResponseFields kScaledDotProductAttentionFields = {
    .in_pipeline_request = v1::PipelineRequest::kScaledDotProductAttentionFieldNumber,
    .in_pipeline_response = v1::PipelineResponse::kScaledDotProductAttentionFieldNumber,
    .output = v1::ScaledDotProductAttentionResponse::kOutputFieldNumber,
    .weights = v1::ScaledDotProductAttentionResponse::kWeightsFieldNumber,
    .layer_sha256 = 0,
    .timing = v1::ScaledDotProductAttentionResponse::kTimingFieldNumber,
    .log_sum_exp = v1::ScaledDotProductAttentionResponse::kLogSumExpFieldNumber,
    .warnings = 0};

namespace {

absl::Status CheckTensor(absl::string_view field, const TensorView& view, bool required) {
  if (!view.present()) {
    return required ? LocalError("MISSING_TENSOR", field, "is required") : absl::OkStatus();
  }
  const absl::Status status = view.Validate();
  if (status.ok()) return status;
  return LocalError("INVALID_TENSOR", field, std::string(status.message()));
}

absl::Status CheckOptions(const AttentionOptions& options) {
  if (absl::Status s = CheckTensor("options.bias", options.bias, false); !s.ok()) return s;
  if (absl::Status s = CheckTensor("options.mask", options.mask, false); !s.ok()) return s;
  return CheckTensor("options.alibi_slopes", options.alibi_slopes, false);
}

void WriteTensor(WireWriter& writer, int field, const TensorView& view) {
  if (view.present()) writer.Tensor(field, view);
}

WireWriter EncodeOptions(const AttentionOptions& options) {
  WireWriter writer;
  using Field = v1::AttentionOptions;
  if (options.scale.has_value()) writer.Float(Field::kScaleFieldNumber, *options.scale);
  writer.Varint(Field::kCausalFieldNumber, options.causal ? 1 : 0);
  writer.Varint(Field::kAlignmentFieldNumber, static_cast<uint64_t>(options.alignment));
  writer.PackedVarints(Field::kQueryOffsetsFieldNumber, options.query_offsets);
  if (options.window_left.has_value()) {
    writer.Int64(Field::kWindowLeftFieldNumber, *options.window_left);
  }
  if (options.window_right.has_value()) {
    writer.Int64(Field::kWindowRightFieldNumber, *options.window_right);
  }
  if (options.softcap.has_value()) writer.Float(Field::kSoftcapFieldNumber, *options.softcap);
  WriteTensor(writer, Field::kBiasFieldNumber, options.bias);
  WriteTensor(writer, Field::kMaskFieldNumber, options.mask);
  WriteTensor(writer, Field::kAlibiSlopesFieldNumber, options.alibi_slopes);
  writer.PackedFloats(Field::kSinksFieldNumber, options.sinks);
  writer.PackedFloats(Field::kHeadGatesFieldNumber, options.head_gates);
  if (options.weights != Weights::kNone) {
    writer.Varint(Field::kWeightsFieldNumber, static_cast<uint64_t>(options.weights));
  }
  if (options.weights_stage != WeightsStage::kProbabilities) {
    writer.Varint(Field::kWeightsStageFieldNumber, static_cast<uint64_t>(options.weights_stage));
  }
  writer.Varint(Field::kLogSumExpFieldNumber, options.log_sum_exp ? 1 : 0);
  return writer;
}

void WriteOptions(WireWriter& writer, int field, const AttentionOptions& options) {
  WireWriter encoded = EncodeOptions(options);
  if (encoded.size() > 0) writer.Message(field, std::move(encoded));
}

absl::StatusOr<Prepared> Finish(const WireWriter& writer, const char* method,
                                ResponseFields fields) {
  if (writer.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return LocalError("MESSAGE_TOO_LARGE", "query",
                      absl::StrCat("makes the message ", writer.size(),
                                   " bytes long; protobuf messages end at 2 GiB"));
  }
  return Prepared{method, fields, writer.ToByteBuffer()};
}

}  // namespace

absl::StatusOr<Prepared> Encode(const MultiHeadAttentionRequest& request) {
  if (absl::Status s = CheckTensor("query", request.query, true); !s.ok()) return s;
  if (absl::Status s = CheckTensor("key", request.key, false); !s.ok()) return s;
  if (absl::Status s = CheckTensor("value", request.value, false); !s.ok()) return s;
  if (absl::Status s = CheckOptions(request.options); !s.ok()) return s;
  using Field = v1::MultiHeadAttentionRequest;
  WireWriter writer;
  writer.String(Field::kLayerFieldNumber, request.layer);
  WriteTensor(writer, Field::kQueryFieldNumber, request.query);
  WriteTensor(writer, Field::kKeyFieldNumber, request.key);
  WriteTensor(writer, Field::kValueFieldNumber, request.value);
  writer.PackedVarints(Field::kQueryLengthsFieldNumber, request.query_lengths);
  writer.PackedVarints(Field::kKeyLengthsFieldNumber, request.key_lengths);
  WriteOptions(writer, Field::kOptionsFieldNumber, request.options);
  if (request.priority != Priority::kNormal) {
    writer.Varint(Field::kPriorityFieldNumber, static_cast<uint64_t>(request.priority));
  }
  return Finish(writer, "/attend.v1.AttentionService/MultiHeadAttention",
                kMultiHeadAttentionFields);
}

absl::StatusOr<Prepared> Encode(const ScaledDotProductAttentionRequest& request) {
  if (absl::Status s = CheckTensor("query", request.query, true); !s.ok()) return s;
  if (absl::Status s = CheckTensor("key", request.key, true); !s.ok()) return s;
  if (absl::Status s = CheckTensor("value", request.value, true); !s.ok()) return s;
  if (absl::Status s = CheckOptions(request.options); !s.ok()) return s;
  using Field = v1::ScaledDotProductAttentionRequest;
  WireWriter writer;
  WriteTensor(writer, Field::kQueryFieldNumber, request.query);
  WriteTensor(writer, Field::kKeyFieldNumber, request.key);
  WriteTensor(writer, Field::kValueFieldNumber, request.value);
  writer.PackedVarints(Field::kQueryLengthsFieldNumber, request.query_lengths);
  writer.PackedVarints(Field::kKeyLengthsFieldNumber, request.key_lengths);
  WriteOptions(writer, Field::kOptionsFieldNumber, request.options);
  writer.Varint(Field::kLayoutFieldNumber, static_cast<uint64_t>(request.layout));
  if (request.priority != Priority::kNormal) {
    writer.Varint(Field::kPriorityFieldNumber, static_cast<uint64_t>(request.priority));
  }
  return Finish(writer, "/attend.v1.AttentionService/ScaledDotProductAttention",
                kScaledDotProductAttentionFields);
}

}  // namespace attend::client::internal
