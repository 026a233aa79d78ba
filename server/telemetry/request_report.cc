// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/request_report.h"

#include <atomic>

#include "server/telemetry/request_log.h"

namespace attend {
namespace {

std::atomic<SpanExporter*> span_exporter{nullptr};

}  // namespace

void ReportRequestEnd(const RequestEnd& end) {
  LogRequestEnd(end);
  if (SpanExporter* const exporter = span_exporter.load(); exporter != nullptr) {
    exporter->OnEnd(end);
  }
}

void SetSpanExporter(SpanExporter* exporter) {
  span_exporter.store(exporter);
}

SpanStats GetSpanStats() {
  const SpanExporter* const exporter = span_exporter.load();
  return exporter == nullptr ? SpanStats() : exporter->stats();
}

}  // namespace attend
