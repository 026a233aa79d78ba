// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_METRICS_H_
#define ATTEND_SERVER_TELEMETRY_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/batching/batch_observer.h"
#include "server/telemetry/gauges.h"
#include "server/telemetry/method.h"
#include "server/telemetry/refusal.h"
#include "server/telemetry/request_end.h"

namespace attend {

enum class Stage { kDecode, kQueue, kCompute, kEncode };

// The Prometheus families of the server. Every series is made here, with value
// 0, so that a rate over it is right from the first event on; afterwards only
// kept references are touched: no lookup, no lock of the registry, and no
// exception of the library, on the way of a request. Thread-safe.
class Metrics final : public BatchObserver {
 public:
  // Latencies are told apart up to `max_deadline`, or a minute if that is less.
  explicit Metrics(absl::Duration max_deadline = absl::Seconds(60));

  // Each started request is ended once, whatever became of it. `reason` is the
  // error's ErrorInfo reason.
  void OnRequestStarted(Method method);
  void OnRequestEnded(Method method, absl::StatusCode code, const std::string& reason,
                      absl::Duration duration);

  // The same for a stream, and for each of its requests, which is counted under the method that it
  // would have as a call of its own.
  void OnRpcStarted(Method method);
  void OnRpcEnded(Method method, absl::StatusCode code, absl::Duration duration);
  void OnItemEnded(Method method, absl::StatusCode code, const std::string& reason,
                   absl::Duration duration);

  // The messages of a request that has ended; `answered`: with a result.
  void OnMessages(const RequestDetails& details, bool answered);

  void OnStage(Stage stage, absl::Duration duration);

  // A model's files were read again; `replaced` tells whether its layers were replaced.
  void OnReload(bool replaced);

  void OnBatch(const BatchRecord& batch) override;

  // Where the values come from that are read when they are scraped.
  Gauges& gauges() { return gauges_; }

  // The layers that are counted one by one. To be called once, before any request.
  void SetLayers(const std::vector<std::string>& names);

  // Everything in Prometheus' text format.
  std::string Text() const;

 private:
  static constexpr size_t kCodes = 17;  // of gRPC: 0 .. 16

  struct MethodSeries {
    std::array<prometheus::Counter*, kCodes> requests;
    std::array<prometheus::Counter*, kCodes> grpc_handled;
    prometheus::Counter* grpc_started;
    prometheus::Histogram* duration;
    prometheus::Histogram* grpc_handling;
  };
  struct LayerSeries {
    prometheus::Counter* requests;
    prometheus::Counter* tokens;
  };

  void RegisterMethods();
  void RegisterBatches();
  void RegisterRefusals();
  void RegisterReloads();

  const prometheus::Histogram::BucketBoundaries seconds_buckets_;
  prometheus::Registry registry_;
  std::array<MethodSeries, kMethods.size() + 1> methods_;
  std::array<prometheus::Histogram*, 4> stages_;
  std::array<prometheus::Counter*, kRefusalNames.size()> refused_;
  absl::flat_hash_map<std::string, LayerSeries> layers_;
  prometheus::Counter* bytes_received_;
  prometheus::Counter* bytes_sent_;
  prometheus::Histogram* batch_requests_;
  prometheus::Histogram* batch_tokens_;
  prometheus::Histogram* prediction_ratio_;
  prometheus::Counter* busy_seconds_;
  prometheus::Counter* flops_;
  prometheus::Counter* reloads_ok_;
  prometheus::Counter* reloads_refused_;
  Gauges gauges_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_METRICS_H_
