// SPDX-License-Identifier: Apache-2.0
#include "server/calls/call_record.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/batching/end_status.h"
#include "server/calls/traceparent.h"
#include "server/codec/byte_buffer.h"
#include "server/telemetry/log.h"
#include "server/telemetry/request_report.h"

namespace attend {

CallRecord::CallRecord(Metrics& metrics, Method method, grpc::ServerContextBase& context,
                       const Caller& caller)
    : metrics_(metrics),
      method_(method),
      context_(context),
      caller_(caller),
      start_(Clock::Steady().Now()) {
  metrics_.OnRequestStarted(method_);
}

grpc::Status CallRecord::End(const absl::Status& status) {
  absl::Status seen = status;
  if (context_.IsCancelled()) {
    seen = TimeLeft(context_, absl::InfiniteDuration()) <= absl::ZeroDuration() ? ExpiredError()
                                                                                : CallerLeftError();
  }
  const WireStatus wire = TranslateAndLog(seen, method_, RequestId(context_));
  const absl::string_view traceparent = ReadTraceparent(context_);
  AddTrailers(wire, traceparent, context_);
  const absl::Duration duration = Clock::Steady().Now() - start_;
  metrics_.OnRequestEnded(method_, wire.code(), wire.reason, duration);
  metrics_.OnMessages(details_, wire.status.ok());
  ReportRequestEnd(
      DescribeRequestEnd(NameOf(method_), wire, traceparent, caller_, duration, details_));
  return wire.status;
}

grpc::Status CallRecord::EndWithoutMessage() {
  without_message_ = true;
  return PrepareEnd(MissingMessageError(), context_);
}

void CallRecord::OnDone() {
  if (without_message_) End(MissingMessageError());
}

RequestEnd DescribeRequestEnd(const MethodName& method, const WireStatus& status,
                              absl::string_view traceparent, const Caller& caller,
                              absl::Duration duration, const RequestDetails& details) {
  return {.service = method.service,
          .method = method.method,
          .code = status.code(),
          .reason = status.reason,
          .request_id = status.request_id,
          .traceparent = traceparent,
          .caller = caller.address,
          .identity = caller.identity_name(),
          .duration = duration,
          .details = details};
}

WireStatus TranslateAndLog(const absl::Status& status, Method method, std::string request_id) {
  WireStatus wire = ToWireStatus(status, std::move(request_id));
  if (wire.is_bug()) {
    Log(LogLevel::kError, "internal error",
        {{"request_id", wire.request_id},
         {"method", std::string(NameOf(method).method)},
         {"status", status.ToString()}});
  }
  return wire;
}

absl::Duration TimeLeft(const grpc::ServerContextBase& context, absl::Duration max) {
  return std::min(absl::FromChrono(context.deadline()) - absl::Now(), max);
}

}  // namespace attend
