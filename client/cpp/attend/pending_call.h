// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_PENDING_CALL_H_
#define ATTEND_CLIENT_CPP_ATTEND_PENDING_CALL_H_

// How a call that does not block ends: by a callback or a future.

#include <functional>
#include <future>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "attend/attention.h"

namespace attend::client {

// Runs once, on a thread of the library's: must not block, must not destroy what
// it was given to, must not throw; may start calls.
using ResponseCallback = absl::AnyInvocable<void(absl::StatusOr<AttentionResponse>) &&>;

// A running asynchronous call. Copies are the same call. Dropping it does not
// cancel. Thread-safe, if the function it is made with is.
class PendingCall {
 public:
  PendingCall() = default;  // of a call that has ended
  explicit PendingCall(std::function<void()> cancel) : cancel_(std::move(cancel)) {}

  // Ends the call soon with CANCELLED, unless it has ended already. The callback
  // still runs, on the library's thread, never inside Cancel.
  void Cancel() const {
    if (cancel_) cancel_();
  }

 private:
  std::function<void()> cancel_;
};

namespace internal {

// `start(callback)` starts a call and returns StatusOr<PendingCall>. The future
// receives every error.
template <typename Start>
std::future<absl::StatusOr<AttentionResponse>> StartWithFuture(Start start) {
  const auto promise = std::make_shared<std::promise<absl::StatusOr<AttentionResponse>>>();
  std::future<absl::StatusOr<AttentionResponse>> future = promise->get_future();
  const absl::StatusOr<PendingCall> started =
      start([promise](absl::StatusOr<AttentionResponse> response) {
        promise->set_value(std::move(response));
      });
  if (!started.ok()) promise->set_value(started.status());
  return future;
}

}  // namespace internal
}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_PENDING_CALL_H_
