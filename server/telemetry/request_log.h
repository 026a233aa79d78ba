// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_REQUEST_LOG_H_
#define ATTEND_SERVER_TELEMETRY_REQUEST_LOG_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/telemetry/log.h"
#include "server/telemetry/log_limit.h"
#include "server/telemetry/request_end.h"

namespace attend {

struct RequestLogOptions {
  absl::Duration slow = absl::Seconds(1);  // requests that take as long are logged; 0: none for it
  int64_t sample = 1000;                   // one of so many other requests is logged; 0: none
};

// Writes one line for each request that was refused, failed or was slow, and for a sample of all
// others, each kind ten times in a second at most. A request that the caller gave up counts as
// one of the others. Thread-safe.
class RequestLog {
 public:
  using Write =
      std::function<void(LogLevel level, absl::string_view message, std::vector<LogField> fields)>;

  RequestLog(const RequestLogOptions& options, const Clock& clock, Write write);

  // Without a line, costs an atomic addition and allocates nothing.
  void OnEnd(const RequestEnd& end);

 private:
  enum class Kind { kFailed, kRefused, kSlow, kSampled };

  std::optional<Kind> Classify(const RequestEnd& end);

  const RequestLogOptions options_;
  const Write write_;
  std::atomic<uint64_t> others_{0};
  std::array<LogLimit, 4> limits_;  // indexed by Kind
};

// Sets what LogRequestEnd logs, to Log. To be called once, before any request.
void SetUpRequestLog(const RequestLogOptions& options);
// Does nothing before SetUpRequestLog.
void LogRequestEnd(const RequestEnd& end);

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_REQUEST_LOG_H_
