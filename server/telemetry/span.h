// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_SPAN_H_
#define ATTEND_SERVER_TELEMETRY_SPAN_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/telemetry/request_end.h"

namespace attend {

// Requests as spans of OpenTelemetry, in protobuf's wire format (opentelemetry/proto, version 1).
// Written by hand: its generated classes would be one more dependency, and the messages are small.

// Whether the caller records the trace that its traceparent names (W3C Trace Context, section
// 3.2.2.5.1). The traceparent is empty, which is not sampled, or one that IsTraceparent takes.
bool IsSampled(absl::string_view traceparent);

// A span id: eight random bytes that are not all 0. Thread-safe. May throw.
std::string NewSpanId();

// The request as an opentelemetry.proto.trace.v1.Span of kind SERVER, a child of the span that its
// traceparent names. `span_id` has eight bytes; `ended` is a time of the wall clock. Holds names,
// ids, sizes and times: no address, no token, and nothing of what a tensor holds. Precondition: the
// request is sampled. Thread-safe. May throw std::bad_alloc.
std::string EncodeSpan(const RequestEnd& end, absl::string_view span_id, absl::Time ended);

// The spans, as EncodeSpan made them, as an
// opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest of this server. Thread-safe. May
// throw std::bad_alloc.
std::string EncodeExportRequest(const std::vector<std::string>& spans);

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_SPAN_H_
