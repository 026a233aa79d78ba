// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/pipeline_stream.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cpp/codec.h"
#include "client/cpp/status.h"
#include "client/cpp/timespec.h"

namespace attend::client::internal {
namespace {

// The longest timer, and the longest timeout that is sent. Neither is near a limit of
// gRPC's or protobuf's; a timer that goes off early is set again, and servers allow
// less time than this.
constexpr absl::Duration kLongest = absl::Hours(24);

absl::Status FinishedError() {
  return WithDetails(absl::StatusCode::kFailedPrecondition, "the pipeline takes no more requests",
                     {.reason = "PIPELINE_FINISHED", .domain = "attend"});
}

}  // namespace

PipelineStream::PipelineStream(const std::shared_ptr<grpc::Channel>& channel, CallSpec spec,
                               const PipelineOptions& options, Shared shared, uint64_t first_id)
    : shared_(std::move(shared)),
      spec_(std::move(spec)),
      stub_(channel),
      window_(options.max_requests, options.max_bytes),
      items_(first_id, window_) {}

void PipelineStream::Open() {
  for (const auto& [key, value] : spec_.metadata) context_.AddMetadata(key, value);
  if (spec_.credentials != nullptr) context_.set_credentials(spec_.credentials);
  context_.set_wait_for_ready(spec_.wait_for_ready);
  MutexLock lock(mutex_);
  stream_ = stub_.PrepareCall(&context_, spec_.method, &queue_);
  stream_->StartCall(Tag(Event::kStarted));
  poller_ = std::thread(&PipelineStream::Poll, this);
}

absl::Status PipelineStream::TakeRoom(size_t bytes, const ItemOptions& options,
                                      absl::Duration deadline) {
  const bool in_callback = std::this_thread::get_id() == poller_.get_id();
  if (options.when_full == WhenFull::kRefuse || in_callback) return window_.Take(bytes);
  return window_.Wait(bytes, deadline - shared_.pacer.Now());
}

absl::StatusOr<PendingCall> PipelineStream::Start(std::shared_ptr<const Prepared> request,
                                                  const ItemOptions& options,
                                                  ResponseCallback done) {
  if (options.timeout == absl::InfiniteDuration()) {
    return LocalError("INVALID_OPTION", "timeout", "must be finite");
  }
  const absl::Duration deadline = shared_.pacer.Now() + options.timeout;
  if (!shared_.load->Admit()) return ThrottledError(shared_.retry.max_backoff);
  const size_t bytes = request->message.Length();
  if (absl::Status status = TakeRoom(bytes, options, deadline); !status.ok()) return status;
  MutexLock lock(mutex_);
  if (ended_ || finishing_) {
    window_.Return(bytes);
    return ended_ ? end_ : FinishedError();
  }
  const uint64_t id = items_.Add({.request = std::move(request),
                                  .deadline = deadline,
                                  .buffers = options.buffers,
                                  .done = std::move(done)});
  Advance();
  return PendingCall([weak = weak_from_this(), id] {
    if (const std::shared_ptr<PipelineStream> stream = weak.lock()) stream->Cancel(id);
  });
}

void PipelineStream::Cancel(uint64_t id) {
  MutexLock lock(mutex_);
  items_.Cancel(id);
  Advance();
}

absl::Status PipelineStream::Finish(absl::Duration timeout) {
  if (std::this_thread::get_id() == poller_.get_id()) {
    return absl::FailedPreconditionError("Finish must not be called in a callback of the pipeline");
  }
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + absl::ToChronoNanoseconds(std::min(timeout, kLongest));
  window_.Close(FinishedError());
  MutexLock lock(mutex_);
  finishing_ = true;
  Advance();
  while (!gone_) {
    const auto left = until - Clock::now();
    if (left > Clock::duration::zero()) {
      polled_.WaitFor(mutex_, left);
      continue;
    }
    if (cause_.ok()) {
      cause_ = absl::DeadlineExceededError("the pipeline did not finish in time");
      context_.TryCancel();
    }
    polled_.Wait(mutex_);
  }
  return end_;
}

void PipelineStream::Stop() {
  const absl::Status why = absl::CancelledError("the pipeline was destroyed");
  window_.Close(why);
  {
    MutexLock lock(mutex_);
    if (cause_.ok() && !ended_) cause_ = why;
    context_.TryCancel();
  }
  poller_.join();
}

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
  shared_.load->RecordFailure(kind, pushback);
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
    shared_.load->RecordFailure(Classify(code, message, details), details.pushback);
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

void PipelineStream::Advance() {
  if (ended_) return;
  WriteNext();
  SetTimer();
}

void PipelineStream::WriteNext() {
  if (!started_ || writing_ || !cause_.ok()) return;
  if (const std::optional<PipelineItems::Message> next = items_.NextToSend()) {
    writing_ = true;
    grpc::ByteBuffer bytes;
    if (next->item == nullptr) {
      bytes = EncodePipelineCancel(next->id);
    } else {
      const absl::Duration left = next->item->deadline - shared_.pacer.Now();
      bytes = EncodePipelineRequest(next->id, std::clamp(left, absl::ZeroDuration(), kLongest),
                                    *next->item->request);
    }
    stream_->Write(bytes, Tag(Event::kWritten));
  } else if (finishing_ && !half_closed_ && items_.idle()) {
    writing_ = half_closed_ = true;
    stream_->WritesDone(Tag(Event::kHalfClosed));
  }
}

void PipelineStream::SetTimer() {
  const absl::Duration now = shared_.pacer.Now();
  const absl::Duration time = items_.has_failed() ? now : items_.NextTime();
  if (timer_set_) {
    if (time >= timer_) return;  // it goes off before, and is set again
    timer_ = time;
    alarm_.Cancel();
  } else if (time != absl::InfiniteDuration()) {
    timer_set_ = true;
    timer_ = time;
    alarm_.Set(&queue_, MonotonicAfter(std::min(time - now, kLongest)), Tag(Event::kTimer));
  }
}

void PipelineStream::Break(const absl::Status& why) {
  if (cause_.ok()) cause_ = why;
  context_.TryCancel();
  started_ = false;
  stream_->Finish(&grpc_status_, Tag(Event::kEnded));
}

}  // namespace attend::client::internal
