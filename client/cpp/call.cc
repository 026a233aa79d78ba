// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cpp/status.h"

namespace attend::client::internal {

void Call::StartAttempt() {
  MutexLock lock(mutex_);
  ++attempts_;
  alarm_.reset();
  context_ = std::make_unique<grpc::ClientContext>();
  context_->set_deadline(absl::ToChronoTime(spec_.deadline));
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
    Finish(absl::StatusCode::kCancelled, "cancelled by the caller", {});
    return true;
  }
  StartAttempt();
  return false;
}

bool Call::EndAttempt() {
  if (status_.ok()) {
    result_ = {absl::OkStatus(), response_, attempts_};
    return true;
  }
  MutexLock lock(mutex_);
  ErrorDetails details = ReadTrailers(*context_, status_);
  const auto code = static_cast<absl::StatusCode>(status_.error_code());
  const Failure failure = {code, details.pushback, attempts_, spec_.deadline - pacer_.Now()};
  const std::optional<absl::Duration> delay =
      cancelled_ ? std::nullopt : RetryDelay(spec_.retry, failure, pacer_.Uniform());
  if (!delay.has_value()) {
    Finish(code, status_.error_message(), std::move(details));
    return true;
  }
  reader_.reset();
  context_.reset();
  alarm_ = std::make_unique<grpc::Alarm>();
  alarm_->Set(queue_, absl::ToChronoTime(absl::Now() + pacer_.Wait(*delay)), this);
  return false;
}

void Call::Finish(absl::StatusCode code, absl::string_view message, ErrorDetails details) {
  details.attempts = attempts_;
  result_ = {WithDetails(code, message, details), {}, attempts_};
}

void Call::Cancel() {
  MutexLock lock(mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
  if (alarm_ != nullptr) alarm_->Cancel();
}

}  // namespace attend::client::internal
