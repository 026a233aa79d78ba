// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_PROCESS_METRICS_H_
#define ATTEND_SERVER_TELEMETRY_PROCESS_METRICS_H_

#include <prometheus/metric_family.h>

#include <vector>

namespace attend {

// The process_* families that Prometheus' own client libraries export (CPU,
// resident and virtual memory, open files, start time), read from /proc now.
// What cannot be read is left out. Thread-safe.
std::vector<prometheus::MetricFamily> ProcessMetrics();

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_PROCESS_METRICS_H_
