// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_SPAN_EXPORTER_H_
#define ATTEND_SERVER_TELEMETRY_SPAN_EXPORTER_H_

#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "server/telemetry/log_limit.h"
#include "server/telemetry/request_end.h"
#include "server/telemetry/span_queue.h"
#include "server/telemetry/span_sender.h"

namespace attend {

// Exports a span of each request that its caller's tracer records, from a thread of its own. A
// collector that is down, slow or wrong costs requests nothing: what does not fit in the queue is
// dropped and counted. Logs when exporting begins to fail, and when it works again. Thread-safe.
class SpanExporter {
 public:
  // `clock` outlives the exporter.
  SpanExporter(std::unique_ptr<SpanSender> sender, const Clock& clock,
               const SpanExportOptions& options = {});

  // Sends what is queued, each span once more at most, and joins the thread. Blocks for
  // `end_timeout` at most; what has not been sent by then has failed.
  ~SpanExporter();
  SpanExporter(const SpanExporter&) = delete;
  SpanExporter& operator=(const SpanExporter&) = delete;

  // The request ends now. Where it is not sampled, this only looks at its traceparent. Neither
  // waits for the collector nor throws.
  void OnEnd(const RequestEnd& end);

  SpanStats stats() const;

 private:
  void Run();
  // Sends the next batch, without the lock. Returns whether the collector answered OK.
  bool SendBatch(absl::Duration timeout) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LogChange(const SpanSender::Outcome& outcome);

  const SpanExportOptions options_;
  const Clock& clock_;
  const std::unique_ptr<SpanSender> sender_;
  LogLimit log_limit_;
  bool failing_ = false;  // as the log says; of the thread
  mutable Mutex mutex_;
  CondVar changed_;  // the thread: due() is earlier, or the end has begun
  CondVar ended_;    // the destructor: the thread needs the sender no more
  SpanQueue queue_ ABSL_GUARDED_BY(mutex_);
  absl::Time end_by_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();  // infinite: not ending
  bool has_ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_SPAN_EXPORTER_H_
