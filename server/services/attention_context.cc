// SPDX-License-Identifier: Apache-2.0
#include "server/services/attention_context.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/batching/end_status.h"
#include "core/engine/failures.h"
#include "server/codec/byte_buffer.h"
#include "server/codec/request_decoder.h"

namespace attend {
namespace {

template <auto decode>
absl::StatusOr<Request> Decode(const WireBytes& message, const DecodeLimits& limits) {
  auto request = decode(message, limits);
  if (!request.ok()) return request.status();
  return Request(*std::move(request));
}

}  // namespace

class HeldResponse final : public Expirable, public std::enable_shared_from_this<HeldResponse> {
 public:
  HeldResponse(CallerHandle caller, Response response)
      : caller_(std::move(caller)), response_(std::move(response)) {}

  const Response& response() const { return response_; }

  // Has the connection with the peer watched from `time` on. The first call counts; more say the
  // same while OnDeadline may run. `context` outlives its timer. May throw std::bad_alloc.
  void WatchPeer(const AttentionContext& context, std::string peer, absl::Time time) {
    if (context_ != nullptr) return;
    peer_ = std::move(peer);
    context_ = &context;
    context.timer.Add(time, weak_from_this());
  }

  void OnDeadline() override {
    if (context_->end_if_stalled) context_->end_if_stalled(peer_);
    // What fails for want of memory leaves the answer to the end of its connection.
    CatchFailures([this] {
      context_->timer.Add(Clock::Steady().Now() + kReturnTime, weak_from_this());
    }).IgnoreError();
  }

 private:
  const CallerHandle caller_;
  const Response response_;                    // destroyed first
  const AttentionContext* context_ = nullptr;  // nullptr: the peer is not watched
  std::string peer_;
};

const AttentionMethod kMultiHeadAttentionMethod = {Method::kMultiHeadAttention,
                                                   Decode<DecodeMultiHeadAttentionRequest>,
                                                   EncodeMultiHeadAttentionResponse};
const AttentionMethod kScaledDotProductAttentionMethod = {
    Method::kScaledDotProductAttention, Decode<DecodeScaledDotProductAttentionRequest>,
    EncodeScaledDotProductAttentionResponse};

absl::StatusOr<Request> DecodeRequest(const AttentionContext& context,
                                      const AttentionMethod& method, const WireBytes& request,
                                      size_t message_bytes, CallerId caller,
                                      const std::shared_ptr<const Identity>& identity,
                                      MemoryCharge& charge) {
  const auto size = static_cast<int64_t>(message_bytes);
  if (const int64_t limit = context.limits.max_request_bytes; size > limit) {
    return MakeError(absl::StatusCode::kResourceExhausted, "TOO_LARGE", "",
                     absl::StrCat("the message has ", size, " bytes; this server takes ", limit,
                                  ": send smaller ones"));
  }
  ATTEND_ASSIGN_OR_RETURN(charge, context.engine.budget().Charge(size, caller, QuotaOf(identity)));
  ATTEND_ASSIGN_OR_RETURN(Request decoded, method.decode(request, context.limits.decode));
  if (identity != nullptr) {
    ATTEND_RETURN_IF_ERROR(CheckPriority(*identity, GetPriority(decoded)));
  }
  ATTEND_RETURN_IF_ERROR(charge.Grow(static_cast<int64_t>(ListBytes(decoded))));
  return decoded;
}

RequestDetails DescribeRequest(const absl::StatusOr<Request>& request, size_t message_bytes,
                               absl::Duration decode) {
  RequestDetails details;
  details.bytes_in = static_cast<int64_t>(message_bytes);
  details.decode = decode;
  if (!request.ok()) return details;
  if (const auto* typed = std::get_if<MultiHeadAttentionRequest>(&*request)) {
    details.layer = typed->layer;
  }
  return details;
}

void DescribeEnd(const absl::StatusOr<Response>& response, absl::Time submitted,
                 RequestDetails& details) {
  if (!response.ok()) {
    details.queue = Clock::Steady().Now() - submitted;
    return;
  }
  details.queue = response->timing.queue;
  details.compute = response->timing.compute;
  const Tensor& output = response->output;
  details.rows = 1;
  for (int axis = 0; axis + 1 < output.rank(); ++axis) details.rows *= output.dim(axis);
}

void ObserveStages(Metrics& metrics, const absl::StatusOr<Response>& response,
                   absl::Time submitted) {
  if (response.ok()) {
    metrics.OnStage(Stage::kQueue, response->timing.queue);
    metrics.OnStage(Stage::kCompute, response->timing.compute);
  } else if (absl::IsDeadlineExceeded(response.status()) || absl::IsCancelled(response.status())) {
    // Without these, the queue would look the shorter the more requests die in it.
    metrics.OnStage(Stage::kQueue, Clock::Steady().Now() - submitted);
  }
}

absl::StatusOr<EncodedAnswer> EncodeAnswer(
    Metrics& metrics, absl::Time deadline, CallerHandle caller, Response response,
    absl::FunctionRef<std::vector<EncodedPiece>(const Response&)> encode) {
  const absl::Time start = Clock::Steady().Now();
  if (start >= deadline) return ExpiredError();
  const auto held = std::make_shared<HeldResponse>(std::move(caller), std::move(response));
  const std::shared_ptr<const Response> borrowed(held, &held->response());
  EncodedAnswer answer = {MakeByteBuffer(borrowed, encode(*borrowed)), held};
  answer.encode = Clock::Steady().Now() - start;
  metrics.OnStage(Stage::kEncode, answer.encode);
  return answer;
}

void EnsureReturn(const AttentionContext& context, const EncodedAnswer& answer, absl::Time deadline,
                  const grpc::ServerContextBase& call) {
  const std::shared_ptr<HeldResponse> held = answer.response.lock();
  if (held == nullptr) return;
  // What fails for want of memory leaves the answer to the end of its connection.
  CatchFailures([&] {
    held->WatchPeer(context, call.peer(), std::max(deadline, Clock::Steady().Now()) + kReturnTime);
  }).IgnoreError();
}

}  // namespace attend
