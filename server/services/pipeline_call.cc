// SPDX-License-Identifier: Apache-2.0
#include "server/services/pipeline_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/batching/end_status.h"
#include "core/engine/failures.h"
#include "server/calls/call_record.h"
#include "server/calls/traceparent.h"
#include "server/calls/wire_status.h"
#include "server/codec/byte_buffer.h"
#include "server/telemetry/refusal.h"
#include "server/telemetry/request_report.h"

namespace attend {
namespace {

// gRPC gathers short answers that wait for each other, so that one system call sends them and not
// one each: at most so many, of at most so many bytes each.
constexpr size_t kMaxBufferedAnswers = 16;
constexpr size_t kMaxBufferedBytes = 16 << 10;

}  // namespace

PipelineCall::PipelineCall(AttentionContext& shared, Rpc& rpc)
    : shared_(shared),
      engine_(shared.engine),
      metrics_(shared.metrics),
      rpc_(rpc),
      request_id_(RequestId(rpc.context())),
      traceparent_(ReadTraceparent(rpc.context())),
      caller_(rpc.caller()),
      caller_handle_(shared.callers.Enter(caller_.name())),
      start_(Clock::Steady().Now()) {
  shared_.calls.Add();
  metrics_.OnRpcStarted(Method::kPipeline);
}

void PipelineCall::Start() {
  const absl::Status refused = CatchFailures([&]() -> absl::Status {
    ATTEND_RETURN_IF_ERROR(engine_.Admit(caller_handle_.id(), QuotaOf(caller_.identity).get()));
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
  std::shared_ptr<PipelineItem> item;
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

void PipelineCall::Send(PipelineAnswer answer) {
  MutexLock lock(mutex_);
  if (ended_) return Count(*answer.item, absl::StatusCode::kCancelled, "");
  items_.Answer(std::move(answer));
  Write();
}

void PipelineCall::OnWriteDone(bool ok) {
  MutexLock lock(mutex_);
  const PipelineAnswer sent = items_.EndWriting();
  if (ended_) rpc_.Finish(end_.status);
  shared_.timer.Remove(sent.item->entry);
  buffered_.emplace_back(sent.encoded.response, sent.item->deadline);
  if (!buffering_ || !ok) EnsureReturns();
  if (!ok) return;  // the stream is over, and OnCancel follows
  Write();
  EndIfFinished();
  Read();
}

void PipelineCall::EnsureReturns() {
  for (const auto& [response, deadline] : buffered_) {
    EnsureReturn(shared_, {{}, response}, deadline, rpc_.context());
  }
  buffered_.clear();
}

bool PipelineCall::HasRoom() const {
  return items_.empty() ||
         (items_.size() < shared_.limits.max_pipelined &&
          engine_.HasRoom(likely_bytes_, caller_handle_.id(), QuotaOf(caller_.identity).get()));
}

void PipelineCall::Read() {
  if (reading_ || half_closed_ || draining_ || ended_ || !HasRoom()) return;
  reading_ = true;
  rpc_.Read(message_);
}

void PipelineCall::Write() {
  if (ended_) return;
  PipelineAnswer* const next = items_.StartWriting();
  if (next == nullptr) return;
  Count(*next->item, next->code, next->reason);
  grpc::ByteBuffer& bytes = next->encoded.bytes;
  buffering_ = items_.has_waiting() && bytes.Length() <= kMaxBufferedBytes &&
               buffered_.size() < kMaxBufferedAnswers;
  rpc_.Write(bytes, buffering_);
  bytes.Clear();  // gRPC holds the bytes now
}

void PipelineCall::EndIfFinished() {
  if (ended_ || !items_.empty()) return;
  if (half_closed_) {
    Finish(absl::OkStatus());
  } else if (draining_) {
    Finish(DrainingError());
  }
}

void PipelineCall::Finish(const absl::Status& status) {
  ended_ = true;
  end_ = ToWireStatus(status, request_id_);
  AddTrailers(end_, traceparent_, rpc_.context());
  if (!items_.is_writing()) rpc_.Finish(end_.status);
}

void PipelineCall::End(const absl::Status& status) {
  std::vector<std::shared_ptr<PipelineItem>> items;
  {
    MutexLock lock(mutex_);
    if (ended_) return;
    Finish(status);
    items = items_.Close();
    for (const auto& item : items) shared_.timer.Remove(item->entry);
  }
  for (const auto& item : items) {
    if (!Take(*item)) continue;
    Count(*item, absl::StatusCode::kCancelled, "");
    Abandon(*item);
  }
}

void PipelineCall::OnCancel(const absl::Status& why) {
  End(why);
}

void PipelineCall::OnDone() {
  shared_.pipelines.Remove(*this);
  std::deque<PipelineAnswer> unwritten;
  absl::StatusCode code = absl::StatusCode::kCancelled;
  std::string reason;
  {
    MutexLock lock(mutex_);
    done_ = true;
    items_.Close();
    unwritten = items_.TakeAnswers();
    EnsureReturns();
    if (!rpc_.context().IsCancelled()) {
      code = end_.code();
      reason = end_.reason;
    }
  }
  const absl::Duration duration = Clock::Steady().Now() - start_;
  metrics_.OnRpcEnded(Method::kPipeline, code, duration);
  // A stream may live as long as it likes: only one that is refused is worth a line.
  if (FindRefusal(code, reason).has_value()) {
    ReportRequestEnd(
        DescribeRequestEnd(Method::kPipeline, code, reason, duration, RequestDetails()));
  }
  for (const PipelineAnswer& answer : unwritten) {
    Count(*answer.item, absl::StatusCode::kCancelled, "");
    shared_.timer.Remove(answer.item->entry);
  }
  message_.Clear();
  shared_.calls.Remove();
}

}  // namespace attend
