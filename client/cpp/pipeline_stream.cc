// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/pipeline_stream.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "client/cpp/codec.h"
#include "client/cpp/status.h"
#include "client/cpp/timespec.h"

namespace attend::client::internal {
namespace {

// The longest timer, and the longest timeout that is sent. Neither is near a limit of
// gRPC's or protobuf's; a timer that goes off early is set again, and servers allow
// less time than this.
constexpr absl::Duration kLongest = absl::Hours(24);

// Short requests that wait for a write to end leave together, at most so many in one
// system call. Longer ones gain nothing by it.
constexpr size_t kMaxGroup = 16;
constexpr size_t kMaxGroupedBytes = 16 << 10;

}  // namespace

absl::Status PipelineStream::FinishedError() {
  return WithDetails(absl::StatusCode::kFailedPrecondition, "the pipeline takes no more requests",
                     {.reason = "PIPELINE_FINISHED", .domain = "attend"});
}

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
    return end_.ok() ? FinishedError() : end_;
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

void PipelineStream::Advance() {
  if (ended_) return;
  WriteNext();
  SetTimer();
}

void PipelineStream::WriteNext() {
  if (!started_ || writing_ || !cause_.ok()) return;
  std::optional<Outgoing> message = std::exchange(next_, std::nullopt);
  if (!message.has_value()) {
    if (std::optional<grpc::ByteBuffer> bytes = TakeNext()) message = {*std::move(bytes)};
  }
  if (message.has_value()) {
    writing_ = true;
    grpc::WriteOptions options;
    if (message->place < kMaxGroup && message->bytes.Length() <= kMaxGroupedBytes) {
      if (std::optional<grpc::ByteBuffer> bytes = TakeNext()) {
        next_ = {*std::move(bytes), message->place + 1};
        options.set_buffer_hint();
      }
    }
    stream_->Write(message->bytes, options, Tag(Event::kWritten));
  } else if (finishing_ && !half_closed_ && items_.idle()) {
    writing_ = half_closed_ = true;
    stream_->WritesDone(Tag(Event::kHalfClosed));
  }
}

std::optional<grpc::ByteBuffer> PipelineStream::TakeNext() {
  const std::optional<PipelineItems::Message> next = items_.NextToSend();
  if (!next.has_value()) return std::nullopt;
  if (next->item == nullptr) return EncodePipelineCancel(next->id);
  const absl::Duration left = next->item->deadline - shared_.pacer.Now();
  return EncodePipelineRequest(next->id, std::clamp(left, absl::ZeroDuration(), kLongest),
                               *next->item->request);
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

}  // namespace attend::client::internal
