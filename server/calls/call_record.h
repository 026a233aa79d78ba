// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_CALL_RECORD_H_
#define ATTEND_SERVER_CALLS_CALL_RECORD_H_

#include <grpcpp/server_context.h>

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/calls/caller.h"
#include "server/calls/wire_status.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/request_end.h"

namespace attend {

// The accounting of one call: counted once when it starts and once when it ends,
// with the status that goes over the wire. Not thread-safe.
class CallRecord {
 public:
  // `metrics`, `context` and `caller` outlive the record.
  CallRecord(Metrics& metrics, Method method, grpc::ServerContextBase& context,
             const Caller& caller);
  CallRecord(const CallRecord&) = delete;
  CallRecord& operator=(const CallRecord&) = delete;

  // Steady; when the call started.
  absl::Time start() const { return start_; }

  // For the log and the counters; whoever calls End alone uses it then.
  RequestDetails& details() { return details_; }

  // Translates, sets trailers, counts, and logs. Call it
  // once, before the Rpc's Finish, whose argument it returns. A call that
  // the caller gave up counts as CANCELLED, or DEADLINE_EXCEEDED where its
  // deadline passed, whatever `status` is: nobody gets that.
  grpc::Status End(const absl::Status& status);

  // In place of End where no whole message has come: the argument of Finish. Only once gRPC is done
  // with the call is it known whether its caller went away, so that is when it is counted.
  grpc::Status EndWithoutMessage();

  // To be called when gRPC is done with the call.
  void OnDone();

 private:
  Metrics& metrics_;
  const Method method_;
  grpc::ServerContextBase& context_;
  const Caller& caller_;
  RequestDetails details_;
  const absl::Time start_;
  bool without_message_ = false;
};

// The end of a call as ReportRequestEnd takes it. Borrows from all of its arguments.
RequestEnd DescribeRequestEnd(const MethodName& method, const WireStatus& status,
                              absl::string_view traceparent, const Caller& caller,
                              absl::Duration duration, const RequestDetails& details);

// Translates the end of a request to `method`, and logs what is a bug of ours.
WireStatus TranslateAndLog(const absl::Status& status, Method method, std::string request_id);

// Time left to the caller's deadline, at most `max`.
absl::Duration TimeLeft(const grpc::ServerContextBase& context, absl::Duration max);

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_CALL_RECORD_H_
