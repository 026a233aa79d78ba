// SPDX-License-Identifier: Apache-2.0
#include "server/services/attention_call.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/codec/byte_buffer.h"

namespace attend {

AttentionCall::AttentionCall(Engine& engine, Metrics& metrics, CallsInFlight& calls,
                             const AttentionLimits& limits, const AttentionMethod& method,
                             grpc::CallbackServerContext& context, grpc::ByteBuffer& response)
    : engine_(engine),
      metrics_(metrics),
      calls_(calls),
      limits_(limits),
      method_(method),
      response_(response),
      record_(metrics, method.method, context),
      deadline_(record_.start() + TimeLeft(context, limits.max_deadline)) {
  calls_.Add();
}

void AttentionCall::Start(grpc::ByteBuffer& request) {
  if (const absl::Status refused = Submit(request); !refused.ok()) Finish(record_.End(refused));
}

// OK: the engine ends the request.
absl::Status AttentionCall::Submit(grpc::ByteBuffer& buffer) {
  MemoryCharge charge;
  absl::StatusOr<Request> request = Decode(buffer, charge);
  buffer.Clear();
  if (!request.ok()) return request.status();
  metrics_.OnStage(Stage::kDecode, Clock::Steady().Now() - record_.start());
  ticket_ =
      engine_.Submit(*std::move(request), std::move(charge), deadline_,
                     [this](absl::StatusOr<Response> response) { Finished(std::move(response)); });
  return absl::OkStatus();
}

absl::StatusOr<Request> AttentionCall::Decode(const grpc::ByteBuffer& buffer,
                                              MemoryCharge& charge) {
  ATTEND_ASSIGN_OR_RETURN(const ReceivedMessage message, ReceivedMessage::Open(buffer));
  const auto bytes = static_cast<int64_t>(buffer.Length());
  if (bytes > limits_.max_request_bytes) {
    return MakeError(absl::StatusCode::kResourceExhausted, "TOO_LARGE", "",
                     absl::StrCat("the message has ", bytes, " bytes; this server takes ",
                                  limits_.max_request_bytes, ": send smaller ones"));
  }
  // Charged before anything is allocated for it.
  ATTEND_ASSIGN_OR_RETURN(charge, engine_.budget().Charge(bytes));
  return method_.decode(message.chunks(), limits_.decode);
}

void AttentionCall::OnCancel() {
  if (ticket_.has_value()) engine_.Cancel(*ticket_);
}

void AttentionCall::Finished(absl::StatusOr<Response> response) {
  Finish(record_.End(response.ok() ? Respond(*std::move(response)) : response.status()));
}

absl::Status AttentionCall::Respond(Response response) {
  const absl::Time start = Clock::Steady().Now();
  metrics_.OnStage(Stage::kQueue, response.timing.queue);
  metrics_.OnStage(Stage::kCompute, response.timing.compute);
  if (start >= deadline_) {
    return MakeError(absl::StatusCode::kDeadlineExceeded, "EXPIRED", "",
                     "the deadline passed before the result");
  }
  const auto shared = std::make_shared<const Response>(std::move(response));
  response_ = MakeByteBuffer(shared, method_.encode(*shared));
  metrics_.OnStage(Stage::kEncode, Clock::Steady().Now() - start);
  return absl::OkStatus();
}

}  // namespace attend
