// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_GAUGE_FAMILY_H_
#define ATTEND_SERVER_TELEMETRY_GAUGE_FAMILY_H_

#include <prometheus/metric_family.h>

#include <string>

namespace attend {

// A family of one series without labels, with the value that it has now.
inline prometheus::MetricFamily GaugeFamily(std::string name, std::string help, double value) {
  prometheus::ClientMetric metric;
  metric.gauge.value = value;
  return {std::move(name), std::move(help), prometheus::MetricType::Gauge, {metric}};
}

inline prometheus::MetricFamily CounterFamily(std::string name, std::string help, double value) {
  prometheus::ClientMetric metric;
  metric.counter.value = value;
  return {std::move(name), std::move(help), prometheus::MetricType::Counter, {metric}};
}

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_GAUGE_FAMILY_H_
