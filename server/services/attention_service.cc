// SPDX-License-Identifier: Apache-2.0
#include "server/services/attention_service.h"

#include "server/codec/request_decoder.h"

namespace attend {
namespace {

template <auto decode>
absl::StatusOr<Request> Decode(absl::Span<const absl::string_view> chunks,
                               const DecodeLimits& limits) {
  auto request = decode(chunks, limits);
  if (!request.ok()) return request.status();
  return Request(*std::move(request));
}

constexpr AttentionMethod kMultiHeadAttention = {Method::kMultiHeadAttention,
                                                 Decode<DecodeMultiHeadAttentionRequest>,
                                                 EncodeMultiHeadAttentionResponse};
constexpr AttentionMethod kScaledDotProductAttention = {
    Method::kScaledDotProductAttention, Decode<DecodeScaledDotProductAttentionRequest>,
    EncodeScaledDotProductAttentionResponse};

grpc::ServerUnaryReactor* Start(AttentionCall* call, const grpc::ByteBuffer* request) {
  // gRPC keeps the message until the call ends. It made the buffer for this
  // handler alone, so the bytes may go as soon as they are decoded.
  call->Start(*const_cast<grpc::ByteBuffer*>(request));
  return call;
}

}  // namespace

grpc::ServerUnaryReactor* AttentionService::MultiHeadAttention(grpc::CallbackServerContext* context,
                                                               const grpc::ByteBuffer* request,
                                                               grpc::ByteBuffer* response) {
  return Start(new AttentionCall(engine_, metrics_, calls_, limits_, kMultiHeadAttention, *context,
                                 *response),
               request);
}

grpc::ServerUnaryReactor* AttentionService::ScaledDotProductAttention(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return Start(new AttentionCall(engine_, metrics_, calls_, limits_, kScaledDotProductAttention,
                                 *context, *response),
               request);
}

}  // namespace attend
