// SPDX-License-Identifier: Apache-2.0

// What the polling thread of a pipeline's stream does.
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cpp/codec.h"
#include "client/cpp/pipeline_stream.h"
#include "client/cpp/retry.h"
#include "client/cpp/status.h"

namespace attend::client::internal {

void PipelineStream::Poll() {
  void* tag;
  bool ok;
  while (queue_.Next(&tag, &ok)) {
    OnEvent(static_cast<Event>(reinterpret_cast<intptr_t>(tag)), ok);
    RunCallbacksOfFailed();
  }
  MutexLock lock(mutex_);
  gone_ = true;
  polled_.NotifyAll();
}

void PipelineStream::OnEvent(Event event, bool ok) {
  if (event == Event::kRead && ok) return OnAnswer();
  MutexLock lock(mutex_);
  switch (event) {
    case Event::kStarted:
      started_ = ok;
      if (ok) {
        stream_->Read(&answer_, Tag(Event::kRead));
        break;
      }
      [[fallthrough]];
    case Event::kRead:  // no answer comes any more
      started_ = false;
      stream_->Finish(&grpc_status_, Tag(Event::kEnded));
      break;
    case Event::kWritten:
    case Event::kHalfClosed:
      writing_ = false;  // where it failed, the read fails, too
      break;
    case Event::kTimer:
      timer_set_ = false;
      break;
    case Event::kEnded:
      return OnEnded();
  }
  items_.AdvanceTo(shared_.pacer.Now());
  Advance();
}

void PipelineStream::OnAnswer() {
  grpc::ByteBuffer message;
  message.Swap(&answer_);
  PipelineAnswer answer;
  absl::Status broken;
  try {
    if (!ReadPipelineAnswer(message, answer)) broken = UndecodableError();
  } catch (const std::bad_alloc&) {
    broken = OutOfMemoryError();
  }
  std::optional<PipelineItem> item;
  {
    MutexLock lock(mutex_);
    if (broken.ok() && !items_.IsSent(answer.id)) {
      broken = absl::DataLossError("the server answered a request that it does not have");
    }
    if (!broken.ok()) return Break(broken);
    stream_->Read(&answer_, Tag(Event::kRead));
    const PipelineItem* waiting = items_.Find(answer.id);
    std::optional<absl::Duration> delay;
    if (answer.error.ok()) {
      shared_.load->RecordSuccess();
    } else if (waiting != nullptr) {
      delay = DelayAfter(*waiting, answer);
    }
    if (delay.has_value()) {
      items_.SendAgain(answer.id, shared_.pacer.Now() + shared_.pacer.Wait(*delay));
    } else {
      item = items_.Remove(answer.id);
    }
    items_.AdvanceTo(shared_.pacer.Now());
    Advance();
  }
  if (item.has_value()) OnResult(*std::move(item), answer);
}

void PipelineStream::OnResult(PipelineItem item, const PipelineAnswer& answer) {
  if (!answer.error.ok()) {
    ErrorDetails details = answer.details;
    details.request_id = spec_.request_id;
    details.attempts = item.attempts;
    return std::move(item.done)(WithDetails(answer.error.code(), answer.error.message(), details));
  }
  const ResponseFields& fields = item.request->response;
  absl::StatusOr<AttentionResponse> response =
      answer.field == fields.in_pipeline_response
          ? Decode(answer.body, fields, item.buffers)
          : absl::StatusOr<AttentionResponse>(UndecodableError());
  if (response.ok()) {
    response->attempts = item.attempts;
    response->request_id = spec_.request_id;
  }
  std::move(item.done)(std::move(response));
}

std::optional<absl::Duration> PipelineStream::DelayAfter(const PipelineItem& item,
                                                         const PipelineAnswer& answer) {
  const absl::Status& error = answer.error;
  const std::optional<absl::Duration> pushback = answer.details.pushback;
  const FailureKind kind = Classify(error.code(), error.message(), answer.details);
  shared_.load->RecordFailure(kind, pushback, item.attempts);
  // A server that drains is of no use later, and no other is at the end of this stream.
  if (kind == FailureKind::kUnavailable || kind == FailureKind::kDraining) return std::nullopt;
  const absl::Duration left = item.deadline - shared_.pacer.Now();
  const Failure failure = {kind, pushback, item.attempts, left, shared_.load->AllowsRetry()};
  return RetryDelay(shared_.retry, failure, shared_.pacer.Uniform());
}

void PipelineStream::OnEnded() {
  ended_ = true;
  ErrorDetails details = ReadTrailers(context_, grpc_status_);
  if (details.request_id.empty()) details.request_id = spec_.request_id;
  const auto code = static_cast<absl::StatusCode>(grpc_status_.error_code());
  const std::string& message = grpc_status_.error_message();
  absl::Status unanswered;
  if (!cause_.ok()) {
    end_ = unanswered = cause_;
  } else if (grpc_status_.ok()) {
    unanswered = absl::UnavailableError("the server ended the stream before it answered");
    if (!finishing_ || !items_.idle()) end_ = unanswered;
  } else {
    shared_.load->RecordFailure(Classify(code, message, details), details.pushback, 1);
    end_ = unanswered = WithDetails(code, absl::StrCat("the stream ended: ", message), details);
  }
  items_.FailAll(unanswered);
  window_.Close(end_.ok() ? FinishedError() : end_);
  alarm_.Cancel();
  queue_.Shutdown();
}

void PipelineStream::RunCallbacksOfFailed() {
  std::vector<FailedItem> failed;
  {
    MutexLock lock(mutex_);
    failed = items_.TakeFailed();
  }
  for (FailedItem& each : failed) std::move(each.item.done)(std::move(each.status));
}

void PipelineStream::Break(const absl::Status& why) {
  if (cause_.ok()) cause_ = why;
  context_.TryCancel();
  started_ = false;
  stream_->Finish(&grpc_status_, Tag(Event::kEnded));
}

}  // namespace attend::client::internal
