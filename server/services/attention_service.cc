// SPDX-License-Identifier: Apache-2.0
#include "server/services/attention_service.h"

#include <memory>
#include <utility>

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

}  // namespace

AttentionService::AttentionService(Engine& engine, Metrics& metrics, CallsInFlight& calls,
                                   const AttentionLimits& limits)
    : timer_(Clock::Steady()), shared_{engine, metrics, calls, timer_, callers_, limits} {}

void AttentionService::AddTo(Routes& routes) {
  for (const AttentionMethod* method : {&kMultiHeadAttention, &kScaledDotProductAttention}) {
    routes[MethodPath(method->method)] = [this, method](Rpc& rpc) {
      return std::make_shared<AttentionCall>(shared_, *method, rpc);
    };
  }
}

}  // namespace attend
