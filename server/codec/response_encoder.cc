// SPDX-License-Identifier: Apache-2.0
#include "server/codec/response_encoder.h"

#include <cstdint>
#include <utility>

#include "attend/v1/attention.pb.h"
#include "attend/v1/tensor.pb.h"
#include "proto/wire/writer.h"

namespace attend {
namespace {

using wire_writer::AppendLengthTag;
using wire_writer::AppendMessage;
using wire_writer::AppendVarint;
using wire_writer::AppendVarintField;

int EncodeDataType(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return v1::DATA_TYPE_FLOAT32;
    case DataType::kBFloat16:
      return v1::DATA_TYPE_BFLOAT16;
    case DataType::kFloat16:
      return v1::DATA_TYPE_FLOAT16;
    case DataType::kBool:
      return v1::DATA_TYPE_BOOL;
  }
  return v1::DATA_TYPE_UNSPECIFIED;
}

// All of a tensor's field up to its data, which must follow.
void AppendTensorHead(int field, const Tensor& tensor, std::string& out) {
  std::string shape;
  for (const int64_t size : tensor.shape()) AppendVarint(static_cast<uint64_t>(size), shape);
  std::string head;
  AppendVarintField(v1::Tensor::kDataTypeFieldNumber,
                    static_cast<uint64_t>(EncodeDataType(tensor.type())), head);
  if (!shape.empty()) AppendMessage(v1::Tensor::kShapeFieldNumber, shape, head);
  AppendLengthTag(v1::Tensor::kDataFieldNumber, tensor.byte_size(), head);
  AppendLengthTag(field, head.size() + tensor.byte_size(), out);
  out += head;
}

std::string EncodeTiming(const Timing& timing) {
  std::string out;
  AppendVarintField(v1::Timing::kQueueNsFieldNumber,
                    static_cast<uint64_t>(absl::ToInt64Nanoseconds(timing.queue)), out);
  AppendVarintField(v1::Timing::kComputeNsFieldNumber,
                    static_cast<uint64_t>(absl::ToInt64Nanoseconds(timing.compute)), out);
  AppendVarintField(v1::Timing::kBatchRequestsFieldNumber,
                    static_cast<uint64_t>(timing.batch_requests), out);
  AppendVarintField(v1::Timing::kBatchTokensFieldNumber, static_cast<uint64_t>(timing.batch_tokens),
                    out);
  return out;
}

void AppendTensor(int field, const Tensor& tensor, std::vector<EncodedPiece>& pieces) {
  if (pieces.back().header.empty() || !pieces.back().borrowed.empty()) pieces.emplace_back();
  AppendTensorHead(field, tensor, pieces.back().header);
  if (tensor.byte_size() == 0) return;
  pieces.push_back({"", {reinterpret_cast<const char*>(tensor.data()), tensor.byte_size()}});
}

// The small fields first: a message has two pieces then, however many fields.
// Parsers take fields in any order.
template <typename Wire>
std::vector<EncodedPiece> Encode(const Response& response, std::string small_fields) {
  AppendMessage(Wire::kTimingFieldNumber, EncodeTiming(response.timing), small_fields);
  std::vector<EncodedPiece> pieces;
  pieces.reserve(6);
  pieces.push_back({std::move(small_fields), {}});
  AppendTensor(Wire::kOutputFieldNumber, response.output, pieces);
  if (response.weights.has_value()) {
    AppendTensor(Wire::kWeightsFieldNumber, *response.weights, pieces);
  }
  if (response.log_sum_exp.has_value()) {
    AppendTensor(Wire::kLogSumExpFieldNumber, *response.log_sum_exp, pieces);
  }
  return pieces;
}

}  // namespace

std::vector<EncodedPiece> EncodeMultiHeadAttentionResponse(const Response& response) {
  using Wire = v1::MultiHeadAttentionResponse;
  std::string small_fields;
  AppendMessage(Wire::kLayerSha256FieldNumber, response.layer_sha256, small_fields);
  for (const std::string& warning : response.warnings) {
    AppendMessage(Wire::kWarningsFieldNumber, warning, small_fields);
  }
  return Encode<Wire>(response, std::move(small_fields));
}

std::vector<EncodedPiece> EncodeScaledDotProductAttentionResponse(const Response& response) {
  return Encode<v1::ScaledDotProductAttentionResponse>(response, "");
}

}  // namespace attend
