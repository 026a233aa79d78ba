// SPDX-License-Identifier: Apache-2.0
#include "server/services/attention_service.h"

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

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

using Handler = grpc::internal::CallbackBidiHandler<grpc::ByteBuffer, grpc::ByteBuffer>;

}  // namespace

AttentionService::AttentionService(Engine& engine, Metrics& metrics, CallsInFlight& calls,
                                   const AttentionLimits& limits)
    : timer_(Clock::Steady()), shared_{engine, metrics, calls, timer_, callers_, limits} {
  Serve(0, kMultiHeadAttention);
  Serve(1, kScaledDotProductAttention);
}

void AttentionService::Serve(int index, const AttentionMethod& method) {
  const auto make_handler = [&] {
    return new Handler([this, &method](grpc::CallbackServerContext* context) {
      return AttentionCall::Create(shared_, method, *context);
    });
  };
  // The first call changes the method's type, for which the second makes it raw.
  // Each takes ownership of its handler.
  MarkMethodStreamed(index, make_handler());
  MarkMethodRawCallback(index, make_handler());
}

}  // namespace attend
