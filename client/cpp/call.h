// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_CALL_H_
#define ATTEND_CLIENT_CPP_CALL_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attend/error.h"
#include "attend/options.h"
#include "client/cpp/call_spec.h"
#include "client/cpp/load_control.h"
#include "client/cpp/mutex.h"
#include "client/cpp/pacer.h"
#include "grpcpp/alarm.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"

namespace attend::client::internal {

// How a call ended: attempts are in the status's details where it failed.
struct CallResult {
  absl::Status status;
  grpc::ByteBuffer response;
  int attempts = 0;
  std::string request_id;
};

// One unary call with its retries, as a state machine on a completion queue.
// At any time exactly one event is outstanding on the queue, tagged with the
// call: an attempt that runs, or the alarm of a wait. Whoever polls the queue
// hands it to Advance. Start and Advance: one thread at a time, the queue's.
// Cancel: any thread.
class Call {
 public:
  // Gives each attempt the next channel's stub.
  using NextStub = absl::AnyInvocable<grpc::GenericStub&()>;

  Call(CallSpec spec, NextStub next_stub, grpc::CompletionQueue* queue, Pacer& pacer,
       LoadControl& load)
      : spec_(std::move(spec)),
        next_stub_(std::move(next_stub)),
        queue_(queue),
        pacer_(pacer),
        load_(load) {}

  void Start() { StartAttempt(); }

  // True: the call has ended, and TakeResult may be used once.
  bool Advance();

  CallResult TakeResult() { return std::move(result_); }

  void Cancel();

 private:
  void StartAttempt();
  bool EndAttempt();
  // Returns how long to wait before the next attempt; absent: the call has ended.
  std::optional<absl::Duration> EvaluateAttempt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  AttemptInfo DescribeAttempt(std::optional<absl::Duration> retry_after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<absl::Duration> DelayAfter(absl::StatusCode code, const ErrorDetails& details);
  void Finish(absl::StatusCode code, absl::string_view message, ErrorDetails details);

  const CallSpec spec_;
  NextStub next_stub_;
  grpc::CompletionQueue* const queue_;
  Pacer& pacer_;
  LoadControl& load_;

  // Used by the queue's thread only, while no attempt runs.
  int attempts_ = 0;
  grpc::Status status_;
  grpc::ByteBuffer response_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader_;
  CallResult result_;

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  // Exactly one of the two is set from Start to the end.
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_CALL_H_
