// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "server/version.h"

namespace attend {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildHistogram;
using Buckets = prometheus::Histogram::BucketBoundaries;

// From 10 us, because the service itself costs several times that, to the longest deadline. 0.25 is
// the objective of deploy/rules.yml.
Buckets MakeSecondsBuckets(absl::Duration max_deadline) {
  Buckets buckets = {1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2,
                     5e-2, 0.1,    0.25, 0.5,  1,      2.5,  5,    10,     30,   60};
  const double longest = absl::ToDoubleSeconds(max_deadline);
  while (buckets.back() < longest) buckets.push_back(std::min(buckets.back() * 4, longest));
  return buckets;
}

// gRPC's codes in the spelling of the existing grpc_server_* dashboards.
constexpr const char* kGrpcCodes[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

}  // namespace

Metrics::Metrics(absl::Duration max_deadline) : seconds_buckets_(MakeSecondsBuckets(max_deadline)) {
  RegisterMethods();
  RegisterBatches();
  RegisterReloads();
  RegisterRefusals();
  auto& bytes = BuildCounter()
                    .Name("attend_message_bytes_total")
                    .Help("Bytes of the requests' messages, as they are on the wire before TLS.")
                    .Register(registry_);
  bytes_received_ = &bytes.Add({{"direction", "received"}});
  bytes_sent_ = &bytes.Add({{"direction", "sent"}});
  prometheus::BuildGauge()
      .Name("attend_build_info")
      .Help("1, labelled with what was built.")
      .Register(registry_)
      .Add({{"version", kVersion}, {"revision", kRevision}, {"compiler", kCompiler}})
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
  for (size_t i = 0; i < methods_.size(); ++i) {
    const MethodName& name = NameOf(static_cast<Method>(i));
    const std::string method(name.method);
    const std::map<std::string, std::string> grpc_labels = {
        {"grpc_type", std::string(name.grpc_type)},
        {"grpc_service", std::string(name.service)},
        {"grpc_method", method}};
    MethodSeries& series = methods_[i];
    series.duration = &duration.Add({{"method", method}}, seconds_buckets_);
    series.grpc_started = &started.Add(grpc_labels);
    series.grpc_handling = &handling.Add(grpc_labels, seconds_buckets_);
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
    stages_[i] = &stages.Add({{"stage", names[i]}}, seconds_buckets_);
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

void Metrics::RegisterRefusals() {
  auto& refused = BuildCounter()
                      .Name("attend_rejected_total")
                      .Help("Requests refused or dropped without a result, by reason.")
                      .Register(registry_);
  for (size_t i = 0; i < refused_.size(); ++i) {
    refused_[i] = &refused.Add({{"reason", kRefusalNames[i]}});
  }
}

void Metrics::RegisterReloads() {
  auto& reloads = BuildCounter()
                      .Name("attend_reloads_total")
                      .Help("Models whose files were read again, by result.")
                      .Register(registry_);
  reloads_ok_ = &reloads.Add({{"result", "ok"}});
  reloads_refused_ = &reloads.Add({{"result", "refused"}});
}

void Metrics::OnReload(bool replaced) {
  (replaced ? reloads_ok_ : reloads_refused_)->Increment();
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
  if (const std::optional<Refusal> refusal = FindRefusal(code, reason)) {
    refused_[Index(*refusal)]->Increment();
  }
}

void Metrics::OnMessages(const RequestDetails& details, bool answered) {
  bytes_received_->Increment(static_cast<double>(details.bytes_in));
  if (!answered) return;
  bytes_sent_->Increment(static_cast<double>(details.bytes_out));
  if (const auto layer = layers_.find(details.layer); layer != layers_.end()) {
    layer->second.requests->Increment();
    layer->second.tokens->Increment(static_cast<double>(details.rows));
  }
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

void Metrics::SetLayers(const std::vector<std::string>& names) {
  gauges_.SetLayerCount(static_cast<int64_t>(names.size()));
  auto& requests = BuildCounter()
                       .Name("attend_layer_requests_total")
                       .Help("Requests that were answered with a result, by layer.")
                       .Register(registry_);
  auto& tokens = BuildCounter()
                     .Name("attend_layer_tokens_total")
                     .Help("Query rows of these requests, padding included, by layer.")
                     .Register(registry_);
  for (const std::string& name : names) {
    layers_[name] = {&requests.Add({{"layer", name}}), &tokens.Add({{"layer", name}})};
  }
}

std::string Metrics::Text() const {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  for (prometheus::MetricFamily& family : gauges_.Collect()) families.push_back(std::move(family));
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

}  // namespace attend
