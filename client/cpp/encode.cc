// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cpp/codec.h"
#include "client/cpp/status.h"
#include "client/cpp/wire_writer.h"

namespace attend::client::internal {
namespace {

// Numbers of attend/v1/attention.proto; the encode test compares with the
// generated classes.

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
  if (options.scale.has_value()) writer.Float(1, *options.scale);
  writer.Varint(2, options.causal ? 1 : 0);
  writer.Varint(3, static_cast<uint64_t>(options.alignment));
  writer.PackedVarints(4, options.query_offsets);
  if (options.window_left.has_value()) writer.Int64(5, *options.window_left);
  if (options.window_right.has_value()) writer.Int64(6, *options.window_right);
  if (options.softcap.has_value()) writer.Float(7, *options.softcap);
  WriteTensor(writer, 8, options.bias);
  WriteTensor(writer, 9, options.mask);
  WriteTensor(writer, 10, options.alibi_slopes);
  writer.PackedFloats(11, options.sinks);
  writer.PackedFloats(12, options.head_gates);
  if (options.weights != Weights::kNone) writer.Varint(13, static_cast<uint64_t>(options.weights));
  if (options.weights_stage != WeightsStage::kProbabilities) {
    writer.Varint(14, static_cast<uint64_t>(options.weights_stage));
  }
  writer.Varint(15, options.log_sum_exp ? 1 : 0);
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

absl::StatusOr<Prepared> Encode(const MultiHeadRequest& request) {
  if (absl::Status s = CheckTensor("query", request.query, true); !s.ok()) return s;
  if (absl::Status s = CheckTensor("key", request.key, false); !s.ok()) return s;
  if (absl::Status s = CheckTensor("value", request.value, false); !s.ok()) return s;
  if (absl::Status s = CheckOptions(request.options); !s.ok()) return s;
  WireWriter writer;
  writer.String(1, request.layer);
  WriteTensor(writer, 2, request.query);
  WriteTensor(writer, 3, request.key);
  WriteTensor(writer, 4, request.value);
  writer.PackedVarints(5, request.query_lengths);
  writer.PackedVarints(6, request.key_lengths);
  WriteOptions(writer, 7, request.options);
  if (request.priority != Priority::kNormal) {
    writer.Varint(9, static_cast<uint64_t>(request.priority));
  }
  return Finish(writer, "/attend.v1.AttentionService/MultiHeadAttention",
                {.layer_sha256 = 3, .timing = 4, .log_sum_exp = 5});
}

absl::StatusOr<Prepared> Encode(const OperatorRequest& request) {
  if (absl::Status s = CheckTensor("query", request.query, true); !s.ok()) return s;
  if (absl::Status s = CheckTensor("key", request.key, true); !s.ok()) return s;
  if (absl::Status s = CheckTensor("value", request.value, true); !s.ok()) return s;
  if (absl::Status s = CheckOptions(request.options); !s.ok()) return s;
  WireWriter writer;
  WriteTensor(writer, 1, request.query);
  WriteTensor(writer, 2, request.key);
  WriteTensor(writer, 3, request.value);
  writer.PackedVarints(4, request.query_lengths);
  writer.PackedVarints(5, request.key_lengths);
  WriteOptions(writer, 6, request.options);
  writer.Varint(7, static_cast<uint64_t>(request.layout));
  if (request.priority != Priority::kNormal) {
    writer.Varint(9, static_cast<uint64_t>(request.priority));
  }
  return Finish(writer, "/attend.v1.AttentionService/ScaledDotProductAttention",
                {.layer_sha256 = 0, .timing = 3, .log_sum_exp = 4});
}

}  // namespace attend::client::internal
