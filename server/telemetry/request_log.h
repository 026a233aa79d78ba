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

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/telemetry/log.h"
#include "server/telemetry/log_limit.h"

namespace attend {

struct RequestLogOptions {
  absl::Duration slow = absl::Seconds(1);  // requests that take as long are logged; 0: none for it
  int64_t sample = 1000;                   // one of so many other requests is logged; 0: none
};

// What a request is known by and what became of its stages; zero where it did not come so far.
struct RequestDetails {
  std::string layer;  // empty: none, or not known yet
  int64_t rows = 0;   // of the result
  int64_t bytes_in = 0;
  int64_t bytes_out = 0;
  absl::Duration decode = absl::ZeroDuration();
  absl::Duration queue = absl::ZeroDuration();
  absl::Duration compute = absl::ZeroDuration();
  absl::Duration encode = absl::ZeroDuration();
};

// The end of a request. Borrows its texts.
struct RequestEnd {
  absl::string_view method = {};      // without its service
  std::optional<uint64_t> item = {};  // id of a request of a Pipeline
  absl::StatusCode code = absl::StatusCode::kOk;
  absl::string_view reason = {};  // of an error
  absl::string_view request_id = {};
  absl::string_view traceparent = {};  // empty: none
  absl::string_view caller = {};
  absl::string_view identity = {};  // empty: none
  absl::Duration duration = absl::ZeroDuration();
  const RequestDetails& details;
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
