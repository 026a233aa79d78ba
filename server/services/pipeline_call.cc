// SPDX-License-Identifier: Apache-2.0
#include "server/services/pipeline_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/batching/end_status.h"
#include "core/engine/failures.h"
#include "server/calls/call_record.h"
#include "server/calls/wire_status.h"
#include "server/codec/byte_buffer.h"

namespace attend {
namespace {

const AttentionMethod& MethodOf(PipelineKind kind) {
  return kind == PipelineKind::kMultiHeadAttention ? kMultiHeadAttentionMethod
                                                   : kScaledDotProductAttentionMethod;
}

}  // namespace

// The engine and the timer get an item once its request has been decoded, or its deadline is known.
class PipelineCall::Item final : public Expirable, public std::enable_shared_from_this<Item> {
 public:
  explicit Item(std::shared_ptr<PipelineCall> stream) : call(std::move(stream)) {}
  void OnDeadline() override { call->OnDeadline(shared_from_this()); }

  const std::shared_ptr<PipelineCall> call;
  uint64_t id = 0;
  PipelineKind kind = PipelineKind::kCancel;  // never that of a request
  Method method = Method::kPipeline;          // counts messages that hold no request
  absl::Time start, deadline, submitted;      // steady
  CallerHandle caller;                        // moves on to the answer

  // Guarded by the call's mutex.
  DeadlineTimer::Entry entry;
  Engine::Ticket ticket = 0;
  bool answered = false;  // by Take
  bool late = false;      // its answer was being written at the deadline
};

PipelineCall::PipelineCall(AttentionContext& shared, Rpc& rpc)
    : shared_(shared),
      engine_(shared.engine),
      metrics_(shared.metrics),
      rpc_(rpc),
      request_id_(RequestId(rpc.context())),
      caller_name_(CallerName(rpc.context().peer())),
      caller_(shared.callers.Enter(caller_name_)),
      start_(Clock::Steady().Now()) {
  shared_.calls.Add();
  metrics_.OnRpcStarted(Method::kPipeline);
}

void PipelineCall::Start() {
  const absl::Status refused = CatchFailures([&]() -> absl::Status {
    ATTEND_RETURN_IF_ERROR(shared_.engine.Admit(caller_.id()));
    return shared_.pipelines.Add(*this) ? absl::OkStatus() : DrainingError();
  });
  if (!refused.ok()) return End(refused);
  MutexLock lock(mutex_);
  Read();
}

void PipelineCall::Drain() {
  MutexLock lock(mutex_);
  draining_ = true;
  EndIfFinished();
}

void PipelineCall::OnReadDone(bool ok) {
  std::shared_ptr<Item> item;
  absl::Status status;
  if (ok) {
    status = CatchFailures([&] { return Handle(item); });
    message_.Clear();
  }
  if (!status.ok() && item == nullptr) return End(status);
  if (!status.ok()) Fail(item, status);
  MutexLock lock(mutex_);
  reading_ = false;
  half_closed_ |= !ok;
  EndIfFinished();
  Read();
}

absl::Status PipelineCall::Handle(std::shared_ptr<Item>& item) {
  MemoryCharge charge;
  absl::StatusOr<Request> request = absl::UnknownError("not decoded");
  {
    ATTEND_ASSIGN_OR_RETURN(const WireBytes message, OpenMessage(message_));
    ATTEND_ASSIGN_OR_RETURN(const PipelineFrame frame, ReadPipelineFrame(message));
    if (frame.kind.ok() && *frame.kind == PipelineKind::kCancel) {
      CancelItem(frame.id);
      return absl::OkStatus();
    }
    item = std::make_shared<Item>(shared_from_this());
    ATTEND_RETURN_IF_ERROR(Register(frame, item));
    request = DecodeRequest(shared_, MethodOf(item->kind), frame.body, message.size(),
                            item->caller.id(), charge);
  }
  message_.Clear();
  if (!request.ok()) return request.status();
  Submit(item, *std::move(request), std::move(charge));
  return absl::OkStatus();
}

absl::Status PipelineCall::Register(const PipelineFrame& frame, const std::shared_ptr<Item>& item) {
  const absl::Duration max = shared_.limits.max_deadline;
  item->id = frame.id;
  item->start = Clock::Steady().Now();
  item->deadline = item->start + std::min(frame.timeout.value_or(max), max);
  item->caller = shared_.callers.Enter(caller_name_);
  ATTEND_RETURN_IF_ERROR(frame.kind.status());
  item->kind = *frame.kind;
  item->method = MethodOf(item->kind).method;
  MutexLock lock(mutex_);
  if (ended_) return CallerLeftError();  // the server drains, and nobody would be answered
  // An id is free when its answer begins to leave: the caller may use it as soon as it has that.
  const auto unsent = answers_.begin() + (writing_ ? 1 : 0);
  const auto has_id = [&](const Answer& answer) { return answer.item->id == frame.id; };
  if (items_.contains(frame.id) || std::any_of(unsent, answers_.end(), has_id)) {
    return InvalidField("id", absl::StrCat(frame.id, " is that of a request without an answer yet"),
                        "DUPLICATE_ID");
  }
  items_.emplace(frame.id, item);
  item->entry = shared_.timer.Add(item->deadline, item);
  return absl::OkStatus();
}

void PipelineCall::Submit(const std::shared_ptr<Item>& item, Request request, MemoryCharge charge) {
  item->submitted = Clock::Steady().Now();
  metrics_.OnStage(Stage::kDecode, item->submitted - item->start);
  const Engine::Ticket ticket =
      shared_.engine.Submit(std::move(request), std::move(charge), item->deadline,
                            [item](absl::StatusOr<Response> response) {
                              item->call->OnFinished(item, std::move(response));
                            });
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
  std::shared_ptr<Item> item;
  {
    MutexLock lock(mutex_);
    const auto found = items_.find(id);
    if (found == items_.end()) return;
    item = found->second;
  }
  Fail(item, absl::CancelledError("the caller cancelled the request"));
}

void PipelineCall::OnFinished(const std::shared_ptr<Item>& item,
                              absl::StatusOr<Response> response) {
  ObserveStages(metrics_, response, item->submitted);
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
  if (!Take(*item, absl::StatusCode::kOk, "")) return;
  const absl::Status failed = CatchFailures([&] { Send({item, std::move(answer)}); });
  if (!failed.ok()) End(failed);
}

void PipelineCall::Fail(const std::shared_ptr<Item>& item, const absl::Status& status) {
  const absl::Status failed = CatchFailures([&] {
    const WireStatus wire = TranslateAndLog(status, item->method, request_id_);
    const grpc::Slice slice(EncodePipelineStatus(item->id, wire.status.error_details()));
    if (!Take(*item, static_cast<absl::StatusCode>(wire.status.error_code()), wire.reason)) return;
    Abandon(*item);
    Send({item, {grpc::ByteBuffer(&slice, 1), {}}, true});
  });
  if (!failed.ok()) End(failed);  // not even a status could be sent
}

void PipelineCall::Abandon(Item& item) {
  Engine::Ticket ticket = 0;
  {
    MutexLock lock(mutex_);
    ticket = std::exchange(item.ticket, 0);
  }
  if (ticket != 0) engine_.Cancel(ticket);
}

bool PipelineCall::Take(Item& item, absl::StatusCode code, const std::string& reason) {
  {
    MutexLock lock(mutex_);
    if (std::exchange(item.answered, true)) return false;
  }
  metrics_.OnItemEnded(item.method, code, reason, Clock::Steady().Now() - item.start);
  return true;
}

void PipelineCall::Send(Answer answer) {
  const std::shared_ptr<Item> item = answer.item;
  MutexLock lock(mutex_);
  if (ended_) return;
  answers_.push_back(std::move(answer));
  // A message with the id of another request has an answer, but no entry.
  const auto found = items_.find(item->id);
  if (found != items_.end() && found->second == item) items_.erase(found);
  Write();
}

void PipelineCall::OnWriteDone(bool ok) {
  MutexLock lock(mutex_);
  writing_ = false;
  if (ended_) rpc_.Finish(end_);
  const Answer sent = std::move(answers_.front());
  answers_.pop_front();
  shared_.timer.Remove(sent.item->entry);
  EnsureReturn(shared_, sent.encoded, sent.item->deadline, rpc_.context());
  if (!ok) return;  // the stream is over, and OnCancel follows
  Write();
  EndIfFinished();
  Read();
}

void PipelineCall::OnDeadline(const std::shared_ptr<Item>& item) {
  {
    MutexLock lock(mutex_);
    if (done_) return;
    if (writing_ && answers_.front().item == item) return OnLateWrite(item);
    const auto unsent = std::find_if(answers_.begin(), answers_.end(),
                                     [&](const Answer& answer) { return answer.item == item; });
    if (unsent != answers_.end()) {
      // The result goes, and its memory with it.
      CatchFailures([&] {
        const WireStatus wire = ToWireStatus(ExpiredError(), request_id_);
        const grpc::Slice slice(EncodePipelineStatus(item->id, wire.status.error_details()));
        unsent->encoded = {grpc::ByteBuffer(&slice, 1), {}};
        unsent->is_status = true;
      }).IgnoreError();
      return;
    }
  }
  Fail(item, ExpiredError());
}

// An answer that has just begun to leave may have a little more time, because what ends it ends the
// stream.
void PipelineCall::OnLateWrite(const std::shared_ptr<Item>& item) {
  const Answer& front = answers_.front();
  if (!front.is_status && front.encoded.response.expired()) return;  // it has left
  if (!std::exchange(item->late, true)) {
    const absl::Time again = Clock::Steady().Now() + kReturnTime;
    CatchFailures([&] { item->entry = shared_.timer.Add(again, item); }).IgnoreError();
    return;
  }
  EnsureReturn(shared_, front.encoded, item->deadline, rpc_.context());
  rpc_.Cancel();
}

bool PipelineCall::HasRoom() const {
  const size_t unanswered = items_.size() + answers_.size();
  return unanswered == 0 ||
         (unanswered < shared_.limits.max_pipelined && shared_.engine.Admit(caller_.id()).ok());
}

void PipelineCall::Read() {
  if (reading_ || half_closed_ || draining_ || ended_ || !HasRoom()) return;
  reading_ = true;
  rpc_.Read(message_);
}

void PipelineCall::Write() {
  if (writing_ || answers_.empty() || ended_) return;
  writing_ = true;
  EncodedAnswer& next = answers_.front().encoded;
  rpc_.Write(next.bytes);
  next.bytes.Clear();  // gRPC holds the bytes now
}

void PipelineCall::EndIfFinished() {
  if (ended_ || !items_.empty() || !answers_.empty()) return;
  if (half_closed_) {
    Finish(absl::OkStatus());
  } else if (draining_) {
    Finish(DrainingError());
  }
}

void PipelineCall::Finish(const absl::Status& status) {
  ended_ = true;
  const WireStatus wire = ToWireStatus(status, request_id_);
  AddTrailers(wire, rpc_.context());
  end_ = wire.status;
  if (!writing_) rpc_.Finish(end_);
}

void PipelineCall::End(const absl::Status& status) {
  absl::flat_hash_map<uint64_t, std::shared_ptr<Item>> items;
  {
    MutexLock lock(mutex_);
    if (ended_) return;
    Finish(status);
    items.swap(items_);
    for (const auto& [id, item] : items) shared_.timer.Remove(item->entry);
  }
  for (const auto& [id, item] : items) {
    if (Take(*item, absl::StatusCode::kCancelled, "")) Abandon(*item);
  }
}

void PipelineCall::OnCancel() {
  End(CallerLeftError());
}

void PipelineCall::OnDone() {
  shared_.pipelines.Remove(*this);
  std::deque<Answer> answers;
  absl::StatusCode code = absl::StatusCode::kCancelled;
  {
    MutexLock lock(mutex_);
    done_ = true;
    answers.swap(answers_);
    items_.clear();
    if (!rpc_.context().IsCancelled()) code = static_cast<absl::StatusCode>(end_.error_code());
  }
  metrics_.OnRpcEnded(Method::kPipeline, code, Clock::Steady().Now() - start_);
  for (const Answer& answer : answers) shared_.timer.Remove(answer.item->entry);
  message_.Clear();
  shared_.calls.Remove();
}

}  // namespace attend
