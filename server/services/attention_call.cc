// SPDX-License-Identifier: Apache-2.0
#include "server/services/attention_call.h"

#include <utility>

#include "core/base/status.h"
#include "core/engine/failures.h"
#include "server/calls/wire_status.h"
#include "server/codec/byte_buffer.h"

namespace attend {
AttentionCall::AttentionCall(AttentionContext& shared, const AttentionMethod& method, Rpc& rpc)
    : shared_(shared),
      metrics_(shared.metrics),
      method_(method),
      rpc_(rpc),
      record_(shared.metrics, method.method, rpc.context(), rpc.caller()),
      deadline_(rpc.deadline()),
      caller_(shared.callers.Enter(rpc.caller().name())) {
  shared_.calls.Add();
}

void AttentionCall::Start() {
  const absl::Status refused = CatchFailures(
      [&] { return shared_.engine.Admit(caller_.id(), QuotaOf(rpc_.caller().identity).get()); });
  if (!refused.ok()) return End(refused);
  rpc_.Read(request_);
}

void AttentionCall::OnReadDone(bool ok) {
  if (!ok) {
    if (TakeEnd()) rpc_.Finish(record_.EndWithoutMessage());
    return;
  }
  if (HasEnded()) return;  // cancelled or expired while the message arrived
  const absl::Status refused = CatchFailures([&] { return Submit(); });
  if (!refused.ok()) End(refused);
}

// OK: the engine ends the request.
absl::Status AttentionCall::Submit() {
  MemoryCharge charge;
  const size_t bytes = request_.Length();
  absl::StatusOr<Request> request = Decode(charge);
  request_.Clear();
  submitted_ = Clock::Steady().Now();
  Describe(DescribeRequest(request, bytes, submitted_ - record_.start()));
  if (!request.ok()) return request.status();
  metrics_.OnStage(Stage::kDecode, submitted_ - record_.start());
  const Engine::Ticket ticket =
      shared_.engine.Submit(*std::move(request), std::move(charge), deadline_,
                            [self = shared_from_this()](absl::StatusOr<Response> response) {
                              self->OnFinished(std::move(response));
                            });
  bool ended = false;
  {
    MutexLock lock(mutex_);
    ticket_ = ticket;
    ended = ended_;
  }
  // What ended the call meanwhile had no ticket yet.
  if (ended && ticket != 0) shared_.engine.Cancel(ticket);
  return absl::OkStatus();
}

absl::StatusOr<Request> AttentionCall::Decode(MemoryCharge& charge) {
  ATTEND_ASSIGN_OR_RETURN(const WireBytes message, OpenMessage(request_));
  return DecodeRequest(shared_, method_, message, message.size(), caller_.id(),
                       rpc_.caller().identity, charge);
}

void AttentionCall::OnFinished(absl::StatusOr<Response> response) {
  ObserveStages(metrics_, response, submitted_);
  if (!TakeEnd()) return;  // the response goes, and with it its memory
  DescribeEnd(response, submitted_, record_.details());
  absl::Status status = response.status();
  if (response.ok()) {
    status = CatchFailures([&]() -> absl::Status {
      ATTEND_ASSIGN_OR_RETURN(answer_, EncodeAnswer(metrics_, deadline_, std::move(caller_),
                                                    *std::move(response), method_.encode));
      return absl::OkStatus();
    });
  }
  record_.details().bytes_out = static_cast<int64_t>(answer_.bytes.Length());
  record_.details().encode = answer_.encode;
  grpc::Status end = record_.End(status);
  // gRPC orders this thread before that of OnDone, out of ThreadSanitizer's sight. The mutex, for
  // which OnDone waits, shows it.
  MutexLock lock(mutex_);
  if (end.ok()) {
    sending_ = true;
    rpc_.WriteAndFinish(answer_.bytes, end);
  } else {
    rpc_.Finish(end);
  }
}

void AttentionCall::OnCancel(const absl::Status& why) {
  End(why);
  MutexLock lock(mutex_);
  if (sending_) EnsureReturn(shared_, answer_, deadline_, rpc_.context());
}

void AttentionCall::OnDone() {
  { MutexLock lock(mutex_); }  // the answer has been handed over, see OnFinished
  record_.OnDone();
  request_.Clear();
  answer_.bytes.Clear();
  EnsureReturn(shared_, answer_, deadline_, rpc_.context());
  shared_.calls.Remove();
}

void AttentionCall::Describe(RequestDetails details) {
  MutexLock lock(mutex_);
  if (!ended_) record_.details() = std::move(details);
}

bool AttentionCall::HasEnded() {
  MutexLock lock(mutex_);
  return ended_;
}

bool AttentionCall::TakeEnd() {
  MutexLock lock(mutex_);
  return !std::exchange(ended_, true);
}

void AttentionCall::End(const absl::Status& status) {
  if (!TakeEnd()) return;
  Abandon();
  rpc_.Finish(record_.End(status));
}

void AttentionCall::Abandon() {
  Engine::Ticket ticket = 0;
  {
    MutexLock lock(mutex_);
    ticket = ticket_;
  }
  if (ticket != 0) shared_.engine.Cancel(ticket);
}

}  // namespace attend
