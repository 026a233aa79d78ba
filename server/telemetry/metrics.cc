// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/metrics.h"

#include <prometheus/text_serializer.h>

#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "core/base/mutex.h"
#include "server/telemetry/gauge_family.h"
#include "server/telemetry/grpc_log.h"
#include "server/telemetry/process_metrics.h"
#include "server/version.h"

namespace attend {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildHistogram;
using Buckets = prometheus::Histogram::BucketBoundaries;

// From 10 us: the service itself costs several times that.
const Buckets& SecondsBuckets() {
  static const Buckets buckets = {1e-5,   2.5e-5, 5e-5, 1e-4,   2.5e-4, 5e-4, 1e-3,
                                  2.5e-3, 5e-3,   1e-2, 2.5e-2, 5e-2,   0.1,  0.25,
                                  0.5,    1,      2.5,  5,      10,     30};
  return buckets;
}

// gRPC's codes in the spelling of the existing grpc_server_* dashboards.
constexpr const char* kGrpcCodes[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

// ErrorInfo reasons of requests that the server refused or dropped without a result,
// and their label. Further reasons of INVALID_ARGUMENT, which name the cause more closely, count
// as "invalid_argument", all others outside the table as "other".
constexpr std::pair<const char*, const char*> kRejections[] = {
    {"QUEUE_FULL", "queue_full"},
    {"MEMORY", "memory"},
    {"CALLER_MEMORY", "caller_memory"},
    {"TOO_LARGE", "too_large"},
    {"TOO_COSTLY", "too_costly"},
    {"EXPIRED", "expired"},
    {"DEADLINE_UNREACHABLE", "deadline_unreachable"},
    {"DEADLINE_TOO_SHORT", "deadline_too_short"},
    {"DRAINING", "draining"},
    {"INVALID_ARGUMENT", "invalid_argument"},
    {"UNDECODABLE", "undecodable"},
    {"UNKNOWN_OPTION", "unknown_option"},
    {"UNKNOWN_LAYER", "unknown_layer"},
    {"RESPONSE_TOO_LARGE", "response_too_large"},
};

bool IsRejection(absl::StatusCode code) {
  return code != absl::StatusCode::kOk && code != absl::StatusCode::kCancelled &&
         code != absl::StatusCode::kInternal;
}

using Counts = std::vector<std::pair<const char*, int64_t>>;

// Counters that one label tells apart.
prometheus::MetricFamily CountersBy(const char* label, const char* name, const char* help,
                                    const Counts& counts) {
  prometheus::MetricFamily family = {name, help, prometheus::MetricType::Counter, {}};
  for (const auto& [value, count] : counts) {
    prometheus::ClientMetric metric;
    metric.label.push_back({label, value});
    metric.counter.value = static_cast<double>(count);
    family.metric.push_back(std::move(metric));
  }
  return family;
}

Counts GrpcRefusalsByName() {
  Counts counts;
  const auto refusals = GrpcRefusals();
  for (size_t i = 0; i < refusals.size(); ++i) {
    counts.push_back({kGrpcRefusalNames[i], refusals[i]});
  }
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

}  // namespace

// Values that are read when they are scraped.
class Metrics::Gauges {
 public:
  void SetEngine(const Engine* engine) {
    MutexLock lock(mutex_);
    engine_ = engine;
  }
  void SetConnections(std::function<ConnectionStats()> stats) {
    MutexLock lock(mutex_);
    connections_ = std::move(stats);
  }
  void SetOpenCalls(std::function<OpenCallStats()> stats) {
    MutexLock lock(mutex_);
    calls_ = std::move(stats);
  }
  void SetTls(std::function<TlsStats()> stats) {
    MutexLock lock(mutex_);
    tls_ = std::move(stats);
  }
  void SetLayerCount(int64_t count) {
    MutexLock lock(mutex_);
    layers_ = count;
  }

  std::vector<prometheus::MetricFamily> Collect() const {
    EngineStats stats;
    ConnectionStats connections;
    OpenCallStats calls;
    std::optional<TlsStats> tls;
    int64_t layers = 0;
    {
      MutexLock lock(mutex_);
      if (engine_ != nullptr) stats = engine_->stats();
      if (connections_) connections = connections_();
      if (calls_) calls = calls_();
      if (tls_) tls = tls_();
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
        GaugeFamily("attend_batch_overrun_seconds",
                    "Time by which a running batch takes longer than predicted, at most.",
                    absl::ToDoubleSeconds(stats.batch_overrun)),
        GaugeFamily("attend_in_flight_bytes", "Bytes charged to requests being served.",
                    static_cast<double>(stats.in_flight_bytes)),
        GaugeFamily("attend_connections", "Connections that are open.",
                    static_cast<double>(connections.open)),
        CounterFamily("attend_connections_accepted_total", "Connections that were taken.",
                      static_cast<double>(connections.accepted)),
        CountersBy(
            "limit", "attend_connections_refused_total",
            "Connections that were closed as soon as they were taken, by the limit that they "
            "were over.",
            {{"connections", connections.refused_total},
             {"caller_connections", connections.refused_caller},
             {"open_files", connections.refused_descriptors}}),
        CounterFamily("attend_connections_ended_for_uploads_total",
                      "Connections that were ended because unfinished messages held too much "
                      "memory.",
                      static_cast<double>(connections.ended_uploads)),
        GaugeFamily("attend_calls", "Calls that are open.", static_cast<double>(calls.open)),
        CountersBy(
            "limit", "attend_calls_refused_total",
            "Calls that were refused as soon as they began, by the limit that they were over.",
            {{"calls", calls.refused_total}, {"caller_calls", calls.refused_caller}}),
        CountersBy("what", "attend_grpc_refusals_total",
                   "What gRPC refused on its own, before any service saw a call.",
                   GrpcRefusalsByName()),
        GaugeFamily("attend_layers", "Layers that the server holds.", static_cast<double>(layers)),
    };
    for (prometheus::MetricFamily& family : TlsFamilies(tls)) families.push_back(std::move(family));
    for (prometheus::MetricFamily& family : ProcessMetrics()) families.push_back(std::move(family));
    return families;
  }

 private:
  mutable Mutex mutex_;
  const Engine* engine_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::function<ConnectionStats()> connections_ ABSL_GUARDED_BY(mutex_);
  std::function<OpenCallStats()> calls_ ABSL_GUARDED_BY(mutex_);
  std::function<TlsStats()> tls_ ABSL_GUARDED_BY(mutex_);
  int64_t layers_ ABSL_GUARDED_BY(mutex_) = 0;
};

Metrics::Metrics() : gauges_(std::make_shared<Gauges>()) {
  RegisterMethods();
  RegisterBatches();
  RegisterRejections();
  prometheus::BuildGauge()
      .Name("attend_build_info")
      .Help("1, labelled with what was built.")
      .Register(registry_)
      .Add({{"version", kVersion}, {"compiler", kCompiler}})
      .Set(1);
}

void Metrics::RegisterMethods() {
  auto& requests = BuildCounter()
                       .Name("attend_requests_total")
                       .Help("Requests ended, each once, by status code.")
                       .Register(registry_);
  auto& duration = BuildHistogram()
                       .Name("attend_request_duration_seconds")
                       .Help("Time from a request's arrival to its answer being handed to gRPC.")
                       .Register(registry_);
  auto& started = BuildCounter()
                      .Name("grpc_server_started_total")
                      .Help("RPCs started on the server.")
                      .Register(registry_);
  auto& handled = BuildCounter()
                      .Name("grpc_server_handled_total")
                      .Help("RPCs completed on the server, by code.")
                      .Register(registry_);
  auto& handling = BuildHistogram()
                       .Name("grpc_server_handling_seconds")
                       .Help("Time that RPCs took on the server.")
                       .Register(registry_);
  for (size_t i = 0; i < kMethods.size(); ++i) {
    const std::string method(kMethods[i].method);
    const std::map<std::string, std::string> grpc_labels = {
        {"grpc_type", std::string(kMethods[i].grpc_type)},
        {"grpc_service", std::string(kMethods[i].service)},
        {"grpc_method", method}};
    MethodSeries& series = methods_[i];
    series.duration = &duration.Add({{"method", method}}, SecondsBuckets());
    series.grpc_started = &started.Add(grpc_labels);
    series.grpc_handling = &handling.Add(grpc_labels, SecondsBuckets());
    for (size_t code = 0; code < kCodes; ++code) {
      series.requests[code] =
          &requests.Add({{"method", method},
                         {"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code))}});
      std::map<std::string, std::string> labels = grpc_labels;
      labels["grpc_code"] = kGrpcCodes[code];
      series.grpc_handled[code] = &handled.Add(labels);
    }
  }
}

void Metrics::RegisterBatches() {
  auto& stages =
      BuildHistogram()
          .Name("attend_stage_duration_seconds")
          .Help(
              "Time of a request's stages: decode, queue (until its batch began, or until it "
              "was cancelled or expired), compute (of its batch), encode.")
          .Register(registry_);
  const char* const names[] = {"decode", "queue", "compute", "encode"};
  for (size_t i = 0; i < stages_.size(); ++i) {
    stages_[i] = &stages.Add({{"stage", names[i]}}, SecondsBuckets());
  }
  batch_requests_ = &BuildHistogram()
                         .Name("attend_batch_requests")
                         .Help("Requests that ran together.")
                         .Register(registry_)
                         .Add({}, Buckets{1, 2, 4, 8, 16, 32, 64, 128, 256});
  batch_tokens_ =
      &BuildHistogram()
           .Name("attend_batch_tokens")
           .Help("Query rows that ran together; 0 for a batch that was stopped or failed.")
           .Register(registry_)
           .Add({}, Buckets{1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384});
  prediction_ratio_ =
      &BuildHistogram()
           .Name("attend_batch_prediction_ratio")
           .Help("Time that batches took, divided by the time that was predicted for them.")
           .Register(registry_)
           .Add({}, Buckets{0.1, 0.25, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 4, 10});
  busy_seconds_ = &BuildCounter()
                       .Name("attend_executor_busy_seconds_total")
                       .Help("Time that executors spent on batches.")
                       .Register(registry_)
                       .Add({});
  flops_ = &BuildCounter()
                .Name("attend_compute_flops_total")
                .Help("Floating-point operations that the requests computed needed.")
                .Register(registry_)
                .Add({});
}

void Metrics::RegisterRejections() {
  auto& rejected = BuildCounter()
                       .Name("attend_rejected_total")
                       .Help("Requests refused or dropped without a result, by reason.")
                       .Register(registry_);
  for (const auto& [reason, label] : kRejections) {
    rejected_[reason] = &rejected.Add({{"reason", label}});
  }
  rejected_other_ = &rejected.Add({{"reason", "other"}});
}

void Metrics::OnRequestStarted(Method method) {
  OnRpcStarted(method);
}

void Metrics::OnRequestEnded(Method method, absl::StatusCode code, const std::string& reason,
                             absl::Duration duration) {
  OnItemEnded(method, code, reason, duration);
  OnRpcEnded(method, code, duration);
}

void Metrics::OnRpcStarted(Method method) {
  methods_[Index(method)].grpc_started->Increment();
}

void Metrics::OnRpcEnded(Method method, absl::StatusCode code, absl::Duration duration) {
  const MethodSeries& series = methods_[Index(method)];
  series.grpc_handled[static_cast<size_t>(code)]->Increment();
  series.grpc_handling->Observe(absl::ToDoubleSeconds(duration));
}

void Metrics::OnItemEnded(Method method, absl::StatusCode code, const std::string& reason,
                          absl::Duration duration) {
  const MethodSeries& series = methods_[Index(method)];
  series.requests[static_cast<size_t>(code)]->Increment();
  series.duration->Observe(absl::ToDoubleSeconds(duration));
  if (!IsRejection(code)) return;
  auto it = rejected_.find(reason);
  if (it == rejected_.end() && code == absl::StatusCode::kInvalidArgument) {
    it = rejected_.find("INVALID_ARGUMENT");
  }
  (it == rejected_.end() ? rejected_other_ : it->second)->Increment();
}

void Metrics::OnStage(Stage stage, absl::Duration duration) {
  stages_[static_cast<size_t>(stage)]->Observe(absl::ToDoubleSeconds(duration));
}

void Metrics::OnBatch(const BatchRecord& batch) {
  batch_requests_->Observe(static_cast<double>(batch.requests));
  batch_tokens_->Observe(static_cast<double>(batch.tokens));
  busy_seconds_->Increment(absl::ToDoubleSeconds(batch.compute));
  flops_->Increment(batch.flops);
  if (batch.computed && !batch.helped && batch.expected > absl::ZeroDuration()) {
    prediction_ratio_->Observe(absl::FDivDuration(batch.compute, batch.expected));
  }
}

void Metrics::SetEngine(const Engine* engine) {
  gauges_->SetEngine(engine);
}

void Metrics::SetOpenCalls(std::function<OpenCallStats()> stats) {
  gauges_->SetOpenCalls(std::move(stats));
}

void Metrics::SetConnections(std::function<ConnectionStats()> stats) {
  gauges_->SetConnections(std::move(stats));
}

void Metrics::SetTls(std::function<TlsStats()> stats) {
  gauges_->SetTls(std::move(stats));
}

void Metrics::SetLayerCount(int64_t count) {
  gauges_->SetLayerCount(count);
}

std::string Metrics::Text() const {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  for (prometheus::MetricFamily& family : gauges_->Collect()) families.push_back(std::move(family));
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

}  // namespace attend
