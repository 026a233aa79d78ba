// SPDX-License-Identifier: Apache-2.0
#include "server/services/call_record.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/batching/end_status.h"
#include "server/services/wire_status.h"
#include "server/telemetry/log.h"

namespace attend {

CallRecord::CallRecord(Metrics& metrics, Method method, grpc::CallbackServerContext& context)
    : metrics_(metrics), method_(method), context_(context), start_(Clock::Steady().Now()) {
  metrics_.OnRequestStarted(method_);
}

grpc::Status CallRecord::End(const absl::Status& status) {
  absl::Status seen = status;
  if (context_.IsCancelled()) {
    seen = TimeLeft(context_, absl::InfiniteDuration()) <= absl::ZeroDuration()
               ? ExpiredError()
               : absl::CancelledError("the caller went away");
  }
  const WireStatus wire = ToWireStatus(seen);
  if (wire.retry_pushback >= absl::ZeroDuration()) {
    context_.AddTrailingMetadata("grpc-retry-pushback-ms",
                                 absl::StrCat(absl::ToInt64Milliseconds(wire.retry_pushback)));
  }
  if (!wire.request_id.empty()) {
    context_.AddTrailingMetadata("x-request-id", wire.request_id);
    Log(LogLevel::kError, "internal error",
        {{"request_id", wire.request_id},
         {"method", std::string(kMethods[Index(method_)].method)},
         {"status", seen.ToString()}});
  }
  metrics_.OnRequestEnded(method_, static_cast<absl::StatusCode>(wire.status.error_code()),
                          wire.reason, Clock::Steady().Now() - start_);
  return wire.status;
}

absl::Duration TimeLeft(const grpc::CallbackServerContext& context, absl::Duration max) {
  return std::min(absl::FromChrono(context.deadline()) - absl::Now(), max);
}

}  // namespace attend
