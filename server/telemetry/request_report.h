// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_REQUEST_REPORT_H_
#define ATTEND_SERVER_TELEMETRY_REQUEST_REPORT_H_

#include "server/telemetry/request_end.h"
#include "server/telemetry/span_exporter.h"
#include "server/telemetry/span_queue.h"

namespace attend {

// Tells the log that a request has ended, and the exporter of spans where there is one. To be
// called once for each request. Does not block, and does not throw because of a span. Thread-safe.
void ReportRequestEnd(const RequestEnd& end);

// Sets the exporter of the process, which is borrowed; nullptr, as at first: no spans are exported.
// To be called while no request runs, and with nullptr before the exporter is destroyed.
void SetSpanExporter(SpanExporter* exporter);

// What became of the exporter's spans; zeros where there is none. Thread-safe, but not beside
// SetSpanExporter.
SpanStats GetSpanStats();

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_REQUEST_REPORT_H_
