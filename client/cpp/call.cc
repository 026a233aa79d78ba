// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/call.h"

#include <utility>

#include "client/cpp/status.h"
#include "client/cpp/timespec.h"

namespace attend::client::internal {

void Call::StartAttempt() {
  MutexLock lock(mutex_);
  ++attempts_;
  alarm_.reset();
  context_ = std::make_unique<grpc::ClientContext>();
  context_->set_deadline(MonotonicAfter(spec_.deadline - pacer_.Now()));
  for (const auto& [key, value] : spec_.metadata) context_->AddMetadata(key, value);
  if (spec_.credentials != nullptr) context_->set_credentials(spec_.credentials);
  context_->set_wait_for_ready(spec_.wait_for_ready);
  response_.Clear();
  reader_ = next_stub_().PrepareUnaryCall(context_.get(), spec_.method, spec_.request, queue_);
  reader_->StartCall();
  reader_->Finish(&response_, &status_, this);
  if (cancelled_) context_->TryCancel();
}

bool Call::Advance() {
  bool waited = false;
  bool cancelled = false;
  {
    MutexLock lock(mutex_);
    waited = alarm_ != nullptr;
    cancelled = cancelled_;
  }
  if (!waited) return EndAttempt();
  if (cancelled) {
    Finish(absl::StatusCode::kCancelled, "cancelled by the caller",
           {.request_id = spec_.request_id});
    return true;
  }
  StartAttempt();
  return false;
}

bool Call::EndAttempt() {
  std::optional<absl::Duration> delay;
  AttemptInfo info;
  {
    MutexLock lock(mutex_);
    delay = EvaluateAttempt();
    if (spec_.on_attempt) info = DescribeAttempt(delay);
    if (delay.has_value()) {
      reader_.reset();
      context_.reset();
      alarm_ = std::make_unique<grpc::Alarm>();
      alarm_->Set(queue_, MonotonicAfter(pacer_.Wait(*delay)), this);
    }
  }
  if (spec_.on_attempt) spec_.on_attempt(info);
  return !delay.has_value();
}

std::optional<absl::Duration> Call::EvaluateAttempt() {
  ErrorDetails details = ReadTrailers(*context_, status_);
  // A server that was never reached sends no id.
  if (details.request_id.empty()) details.request_id = spec_.request_id;
  if (status_.ok()) {
    if (!spec_.is_probe) load_.RecordSuccess();
    result_ = {absl::OkStatus(), response_, attempts_, std::move(details.request_id)};
    return std::nullopt;
  }
  const auto code = static_cast<absl::StatusCode>(status_.error_code());
  const std::optional<absl::Duration> delay = DelayAfter(code, details);
  if (delay.has_value() && !cancelled_) return delay;
  Finish(code, status_.error_message(), std::move(details));
  return std::nullopt;
}

AttemptInfo Call::DescribeAttempt(std::optional<absl::Duration> retry_after) {
  AttemptInfo info = {
      .attempt = attempts_,
      .method = spec_.method,
      .peer = context_->peer(),
      .request_bytes = spec_.request.Length(),
      .response_bytes = response_.Length(),
      .status = absl::Status(static_cast<absl::StatusCode>(status_.error_code()),
                             status_.error_message()),
      .trailers = {},
      .retry_after = retry_after,
  };
  for (const auto& [key, value] : context_->GetServerTrailingMetadata()) {
    info.trailers.emplace_back(std::string(key.data(), key.size()),
                               std::string(value.data(), value.size()));
  }
  return info;
}

std::optional<absl::Duration> Call::DelayAfter(absl::StatusCode code, const ErrorDetails& details) {
  if (spec_.is_probe) return std::nullopt;
  const FailureKind kind = Classify(code, status_.error_message(), details);
  load_.RecordFailure(kind, details.pushback, attempts_);
  const Failure failure = {kind, details.pushback, attempts_, spec_.deadline - pacer_.Now(),
                           load_.AllowsRetry()};
  return RetryDelay(spec_.retry, failure, pacer_.Uniform());
}

void Call::Finish(absl::StatusCode code, absl::string_view message, ErrorDetails details) {
  details.attempts = attempts_;
  result_ = {WithDetails(code, message, details), {}, attempts_, std::move(details.request_id)};
}

void Call::Cancel() {
  MutexLock lock(mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
  if (alarm_ != nullptr) alarm_->Cancel();
}

}  // namespace attend::client::internal
