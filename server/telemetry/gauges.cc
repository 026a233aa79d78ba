// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/gauges.h"

#include <array>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "core/attention/rates.h"
#include "core/exec/memory_limit.h"
#include "server/telemetry/gauge_family.h"
#include "server/telemetry/grpc_log.h"
#include "server/telemetry/process_metrics.h"
#include "server/telemetry/request_report.h"

namespace attend {
namespace {

using Families = std::vector<prometheus::MetricFamily>;

// Floating-point operations per second that the workers reach in the fastest arithmetic, as
// measured at start.
double PeakFlops(int workers) {
  double seconds = std::numeric_limits<double>::infinity();
  for (const KernelRates& rates : GetAttentionRates().prefill) {
    if (rates.multiply_add > 0) seconds = std::min(seconds, rates.multiply_add);
  }
  return 2.0 * workers / seconds;
}

using Counts = std::vector<std::pair<std::string, double>>;

// Counters or gauges that one label tells apart.
prometheus::MetricFamily FamilyBy(prometheus::MetricType type, const char* label, const char* name,
                                  const char* help, const Counts& counts) {
  prometheus::MetricFamily family = {name, help, type, {}};
  for (const auto& [value, count] : counts) {
    prometheus::ClientMetric metric;
    metric.label.push_back({label, value});
    (type == prometheus::MetricType::Gauge ? metric.gauge.value : metric.counter.value) = count;
    family.metric.push_back(std::move(metric));
  }
  return family;
}

prometheus::MetricFamily CountersBy(const char* label, const char* name, const char* help,
                                    const Counts& counts) {
  return FamilyBy(prometheus::MetricType::Counter, label, name, help, counts);
}

prometheus::MetricFamily GaugesBy(const char* label, const char* name, const char* help,
                                  const Counts& values) {
  return FamilyBy(prometheus::MetricType::Gauge, label, name, help, values);
}

template <size_t n>
Counts ByName(const std::array<const char*, n>& names, const std::array<int64_t, n>& values) {
  Counts counts;
  for (size_t i = 0; i < n; ++i) counts.emplace_back(names[i], values[i]);
  return counts;
}

// Without TLS there is no certificate, and a date of 0 would look like one that has expired.
std::vector<prometheus::MetricFamily> TlsFamilies(const std::optional<TlsStats>& tls) {
  const TlsStats stats = tls.value_or(TlsStats());
  std::vector<prometheus::MetricFamily> families = {
      GaugeFamily("attend_tls_certificate_not_after_seconds",
                  "When the server's certificate expires, as Unix time; without TLS there is none.",
                  absl::ToDoubleSeconds(stats.not_after - absl::UnixEpoch())),
      CountersBy("result", "attend_tls_reloads_total",
                 "Changed certificate files that were taken into service or refused.",
                 {{"ok", stats.reloads_ok}, {"refused", stats.reloads_refused}})};
  if (!tls) families.front().metric.clear();
  return families;
}

Families IdentityFamilies(const IdentityStats& stats) {
  Counts requests, bytes, computed, refused;
  for (const auto& [name, use] : stats.identities) {
    requests.emplace_back(name, use.requests);
    bytes.emplace_back(name, use.bytes);
    computed.emplace_back(name, use.computed_seconds);
    refused.emplace_back(name, use.refused);
  }
  return {
      GaugesBy("identity", "attend_identity_requests", "Requests in flight, by identity.",
               requests),
      GaugesBy("identity", "attend_identity_bytes", "Bytes charged to them, by identity.", bytes),
      CountersBy("identity", "attend_identity_computed_seconds_total",
                 "Predicted computing time of accepted requests, by identity.", computed),
      CountersBy("identity", "attend_identity_refusals_total",
                 "Requests refused for a limit of their identity, by identity.", refused),
      CountersBy("result", "attend_token_reloads_total",
                 "Changed files of tokens that were taken into service or refused.",
                 {{"ok", stats.reloads_ok}, {"refused", stats.reloads_refused}})};
}

void Append(Families from, Families& to) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

void Gauges::SetEngine(const Engine* engine) {
  MutexLock lock(mutex_);
  engine_ = engine;
}
void Gauges::SetConnections(std::function<ConnectionStats()> stats) {
  MutexLock lock(mutex_);
  connections_ = std::move(stats);
}
void Gauges::SetOpenCalls(std::function<OpenCallStats()> stats) {
  MutexLock lock(mutex_);
  calls_ = std::move(stats);
}
void Gauges::SetTls(std::function<TlsStats()> stats) {
  MutexLock lock(mutex_);
  tls_ = std::move(stats);
}
void Gauges::SetIdentities(std::function<IdentityStats()> stats) {
  MutexLock lock(mutex_);
  identities_ = std::move(stats);
}
void Gauges::SetLayerCount(int64_t count) {
  MutexLock lock(mutex_);
  layers_ = count;
}

std::vector<prometheus::MetricFamily> Gauges::Collect() const {
  EngineStats stats;
  ConnectionStats connections;
  OpenCallStats calls;
  std::optional<TlsStats> tls;
  std::optional<IdentityStats> identities;
  int64_t layers = 0;
  int workers = 0, executors = 0;
  double peak_flops = 0;
  {
    MutexLock lock(mutex_);
    if (engine_ != nullptr) {
      stats = engine_->stats();
      workers = engine_->options().num_workers;
      executors = engine_->options().executors;
      peak_flops = PeakFlops(workers);
    }
    if (connections_) connections = connections_();
    if (calls_) calls = calls_();
    if (tls_) tls = tls_();
    if (identities_) identities = identities_();
    layers = layers_;
  }
  std::vector<prometheus::MetricFamily> families = {
      GaugeFamily("attend_queue_requests", "Requests waiting for an executor.",
                  static_cast<double>(stats.queue_requests)),
      GaugeFamily("attend_queue_bytes", "Bytes of the requests waiting for an executor.",
                  static_cast<double>(stats.queue_bytes)),
      GaugeFamily("attend_queue_expected_seconds",
                  "Time that the requests waiting for an executor should take.",
                  absl::ToDoubleSeconds(stats.queue_expected)),
      GaugeFamily("attend_queue_oldest_seconds", "Time that the oldest of them has waited.",
                  absl::ToDoubleSeconds(stats.queue_oldest)),
      GaugeFamily("attend_batch_oldest_seconds",
                  "Time since the oldest running batch began; 0 if none runs.",
                  absl::ToDoubleSeconds(stats.batch_oldest)),
      GaugeFamily("attend_batch_overrun_seconds",
                  "Time by which a running batch takes longer than predicted, at most.",
                  absl::ToDoubleSeconds(stats.batch_overrun)),
      GaugeFamily("attend_in_flight_bytes", "Bytes charged to requests being served.",
                  static_cast<double>(stats.in_flight_bytes)),
      GaugeFamily("attend_in_flight_limit_bytes", "The most that attend_in_flight_bytes may be.",
                  static_cast<double>(stats.in_flight_limit)),
      GaugeFamily("attend_memory_limit_bytes",
                  "Memory of the container, or of the machine where it sets no limit.",
                  static_cast<double>(MemoryLimit())),
      GaugeFamily("attend_workers", "Threads that compute.", workers),
      GaugeFamily("attend_executors", "Groups of workers that run batches at the same time.",
                  executors),
      GaugeFamily("attend_compute_peak_flops",
                  "Floating-point operations per second that all workers reach, as measured at "
                  "start.",
                  peak_flops),
      GaugeFamily("attend_connections", "Connections that are open.",
                  static_cast<double>(connections.open)),
      CounterFamily("attend_connections_accepted_total", "Connections that were taken.",
                    static_cast<double>(connections.accepted)),
      CountersBy("limit", "attend_connections_refused_total",
                 "Connections that were closed as soon as they were taken, by the limit that they "
                 "were over.",
                 ByName(kConnectionRefusalNames, connections.refused)),
      CounterFamily("attend_connections_ended_for_uploads_total",
                    "Connections that were ended because what they sent held too much memory.",
                    static_cast<double>(connections.ended_uploads)),
      GaugeFamily("attend_calls", "Calls that are open.", static_cast<double>(calls.open)),
      CountersBy("limit", "attend_calls_refused_total",
                 "Calls that were refused as soon as they began, by the limit that they were over.",
                 {{"calls", calls.refused_total}, {"caller_calls", calls.refused_caller}}),
      CountersBy("what", "attend_grpc_refusals_total",
                 "What gRPC refused on its own, before any service saw a call.",
                 ByName(kGrpcRefusalNames, GrpcRefusals())),
      GaugeFamily("attend_layers", "Layers that the server holds.", static_cast<double>(layers)),
  };
  const SpanStats spans = GetSpanStats();
  families.push_back(CountersBy(
      "result", "attend_spans_total",
      "Spans of sampled requests that the collector took, that were dropped because too many "
      "waited, or that could not be exported.",
      {{"exported", spans.exported}, {"dropped", spans.dropped}, {"failed", spans.failed}}));
  Append(TlsFamilies(tls), families);
  Append(IdentityFamilies(identities.value_or(IdentityStats())), families);
  Append(ProcessMetrics(), families);
  return families;
}

}  // namespace attend
