// SPDX-License-Identifier: Apache-2.0

// The requests of a PipelineCall: from a message to the answer.

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/batching/end_status.h"
#include "core/engine/failures.h"
#include "server/calls/call_record.h"
#include "server/calls/wire_status.h"
#include "server/codec/byte_buffer.h"
#include "server/services/pipeline_call.h"
#include "server/telemetry/request_report.h"

namespace attend {
namespace {

const AttentionMethod& MethodOf(PipelineKind kind) {
  return kind == PipelineKind::kMultiHeadAttention ? kMultiHeadAttentionMethod
                                                   : kScaledDotProductAttentionMethod;
}

void SetStatus(const WireStatus& wire, PipelineAnswer& answer) {
  const grpc::Slice slice(EncodePipelineStatus(answer.item->id, wire.status.error_details()));
  answer.encoded = {grpc::ByteBuffer(&slice, 1), {}};
  answer.code = wire.code();
  answer.reason = wire.reason;
}

}  // namespace

// The engine and the timer get an item once its request has been decoded, or its deadline is known.
class PipelineCall::Item final : public PipelineItem, public std::enable_shared_from_this<Item> {
 public:
  explicit Item(std::shared_ptr<PipelineCall> stream) : call(std::move(stream)) {}
  void OnDeadline() override { call->OnDeadline(shared_from_this()); }

  const std::shared_ptr<PipelineCall> call;
};

absl::Status PipelineCall::Handle(std::shared_ptr<PipelineItem>& registered) {
  std::shared_ptr<Item> item;
  MemoryCharge charge;
  int64_t needed_bytes = 0;
  absl::StatusOr<Request> request = absl::UnknownError("not decoded");
  {
    ATTEND_ASSIGN_OR_RETURN(const WireBytes message, OpenMessage(message_));
    ATTEND_ASSIGN_OR_RETURN(const PipelineFrame frame, ReadPipelineFrame(message));
    if (frame.kind.ok() && *frame.kind == PipelineKind::kCancel) {
      CancelItem(frame.id);
      return absl::OkStatus();
    }
    // The token may have been withdrawn, or given other limits, since the stream began.
    ATTEND_ASSIGN_OR_RETURN(const std::shared_ptr<const Identity> identity, rpc_.Authorize());
    item = std::make_shared<Item>(shared_from_this());
    registered = item;
    ATTEND_RETURN_IF_ERROR(Register(frame, item));
    needed_bytes = static_cast<int64_t>(message.size());
    request = DecodeRequest(shared_, MethodOf(item->kind), frame.body, message.size(),
                            item->caller.id(), identity, charge);
    Describe(*item, DescribeRequest(request, message.size(), Clock::Steady().Now() - item->start));
  }
  message_.Clear();
  const absl::Status refused = request.status();
  if (refused.ok()) Submit(item, *std::move(request), std::move(charge), needed_bytes);
  Remember(needed_bytes);
  return refused;
}

absl::Status PipelineCall::Register(const PipelineFrame& frame, const std::shared_ptr<Item>& item) {
  const absl::Duration max = shared_.limits.max_deadline;
  item->id = frame.id;
  item->start = Clock::Steady().Now();
  item->deadline = item->start + std::min(frame.timeout.value_or(max), max);
  item->caller = shared_.callers.Enter(caller_.name());
  ATTEND_RETURN_IF_ERROR(frame.kind.status());
  item->kind = *frame.kind;
  item->method = MethodOf(item->kind).method;
  MutexLock lock(mutex_);
  ATTEND_RETURN_IF_ERROR(items_.Add(item));
  item->entry = shared_.timer.Add(item->deadline, item);
  return absl::OkStatus();
}

void PipelineCall::Remember(int64_t needed_bytes) {
  if (needed_bytes > engine_.budget().request_bytes()) return;  // there is never room for that
  MutexLock lock(mutex_);
  likely_bytes_ = std::max(needed_bytes, likely_bytes_ - likely_bytes_ / 8);
}

void PipelineCall::Submit(const std::shared_ptr<Item>& item, Request request, MemoryCharge charge,
                          int64_t& needed_bytes) {
  item->submitted = Clock::Steady().Now();
  metrics_.OnStage(Stage::kDecode, item->submitted - item->start);
  const Engine::Ticket ticket = shared_.engine.Submit(
      std::move(request), std::move(charge), item->deadline,
      [item](absl::StatusOr<Response> response) {
        item->call->OnFinished(item, std::move(response));
      },
      &needed_bytes);
  bool answered = false;
  {
    MutexLock lock(mutex_);
    item->ticket = ticket;
    answered = item->answered;
  }
  // What answered the item meanwhile had no ticket yet.
  if (answered && ticket != 0) shared_.engine.Cancel(ticket);
}

void PipelineCall::CancelItem(uint64_t id) {
  std::shared_ptr<PipelineItem> item;
  {
    MutexLock lock(mutex_);
    item = items_.Find(id);
  }
  if (item != nullptr) Fail(item, absl::CancelledError("the caller cancelled the request"));
}

void PipelineCall::OnFinished(const std::shared_ptr<Item>& item,
                              absl::StatusOr<Response> response) {
  ObserveStages(metrics_, response, item->submitted);
  RequestDetails end;
  DescribeEnd(response, item->submitted, end);
  absl::Status status = response.status();
  EncodedAnswer answer;
  if (response.ok()) {
    status = CatchFailures([&]() -> absl::Status {
      const auto encode = [&](const Response& result) {
        return EncodePipelineResponse(item->id, item->kind, MethodOf(item->kind).encode(result));
      };
      ATTEND_ASSIGN_OR_RETURN(answer,
                              EncodeAnswer(metrics_, item->deadline, std::move(item->caller),
                                           *std::move(response), encode));
      return absl::OkStatus();
    });
  }
  if (!status.ok()) return Fail(item, status);
  if (!Take(*item)) return;
  end.layer = std::move(item->details.layer);
  end.bytes_in = item->details.bytes_in;
  end.decode = item->details.decode;
  end.bytes_out = static_cast<int64_t>(answer.bytes.Length());
  end.encode = answer.encode;
  item->details = std::move(end);
  const absl::Status failed =
      CatchFailures([&] { Send({.item = item, .encoded = std::move(answer)}); });
  if (!failed.ok()) End(failed);
}

void PipelineCall::Fail(const std::shared_ptr<PipelineItem>& item, const absl::Status& status) {
  const absl::Status failed = CatchFailures([&] {
    const WireStatus wire = TranslateAndLog(status, item->method, request_id_);
    PipelineAnswer answer = {.item = item};
    SetStatus(wire, answer);
    if (!Take(*item)) return;
    Abandon(*item);
    Send(std::move(answer));
  });
  if (!failed.ok()) End(failed);  // not even a status could be sent
}

void PipelineCall::Abandon(PipelineItem& item) {
  Engine::Ticket ticket = 0;
  {
    MutexLock lock(mutex_);
    ticket = std::exchange(item.ticket, 0);
  }
  if (ticket != 0) engine_.Cancel(ticket);
}

void PipelineCall::Describe(PipelineItem& item, RequestDetails details) {
  MutexLock lock(mutex_);
  if (!item.answered) item.details = std::move(details);
}

bool PipelineCall::Take(PipelineItem& item) {
  MutexLock lock(mutex_);
  return !std::exchange(item.answered, true);
}

void PipelineCall::Count(const PipelineItem& item, absl::StatusCode code,
                         const std::string& reason) {
  const absl::Duration duration = Clock::Steady().Now() - item.start;
  metrics_.OnItemEnded(item.method, code, reason, duration);
  metrics_.OnMessages(item.details, code == absl::StatusCode::kOk);
  RequestEnd end = DescribeRequestEnd(item.method, code, reason, duration, item.details);
  end.item = item.id;
  ReportRequestEnd(end);
}

RequestEnd PipelineCall::DescribeRequestEnd(Method method, absl::StatusCode code,
                                            const std::string& reason, absl::Duration duration,
                                            const RequestDetails& details) const {
  return {.service = NameOf(method).service,
          .method = NameOf(method).method,
          .code = code,
          .reason = reason,
          .request_id = request_id_,
          .traceparent = traceparent_,
          .caller = caller_.address,
          .identity = caller_.identity_name(),
          .duration = duration,
          .details = details};
}

void PipelineCall::OnDeadline(const std::shared_ptr<PipelineItem>& item) {
  {
    MutexLock lock(mutex_);
    if (done_) return;
    if (items_.IsWriting(*item)) return OnLateWrite(item);
    if (PipelineAnswer* const answer = items_.FindWaiting(*item)) {
      // The result goes, and its memory with it.
      CatchFailures([&] {
        SetStatus(ToWireStatus(ExpiredError(), request_id_), *answer);
      }).IgnoreError();
      return;
    }
  }
  Fail(item, ExpiredError());
}

// An answer that has just begun to leave may have a little more time, because what ends it ends the
// stream.
void PipelineCall::OnLateWrite(const std::shared_ptr<PipelineItem>& item) {
  const PipelineAnswer& answer = items_.writing();
  const bool is_result = answer.code == absl::StatusCode::kOk;
  if (is_result && answer.encoded.response.expired()) return;  // it has left
  if (!std::exchange(item->late, true)) {
    const absl::Time again = Clock::Steady().Now() + kReturnTime;
    CatchFailures([&] { item->entry = shared_.timer.Add(again, item); }).IgnoreError();
    return;
  }
  EnsureReturn(shared_, answer.encoded, item->deadline, rpc_.context());
  rpc_.Cancel();
}

}  // namespace attend
