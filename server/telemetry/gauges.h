// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_GAUGES_H_
#define ATTEND_SERVER_TELEMETRY_GAUGES_H_

#include <prometheus/metric_family.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/mutex.h"
#include "core/engine/engine.h"
#include "server/net/connections.h"
#include "server/net/open_calls.h"
#include "server/telemetry/identity_stats.h"
#include "server/telemetry/tls_stats.h"

namespace attend {

// The metrics that are read from their sources when they are scraped. A source that is not set, or
// nullptr, as before and after its life, gives 0. Thread-safe; setting a source blocks while a
// scrape runs.
class Gauges {
 public:
  void SetEngine(const Engine* engine);
  void SetConnections(std::function<ConnectionStats()> stats);
  void SetOpenCalls(std::function<OpenCallStats()> stats);
  void SetTls(std::function<TlsStats()> stats);
  void SetIdentities(std::function<IdentityStats()> stats);
  void SetLayerCount(int64_t count);

  std::vector<prometheus::MetricFamily> Collect() const;

 private:
  mutable Mutex mutex_;
  const Engine* engine_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::function<ConnectionStats()> connections_ ABSL_GUARDED_BY(mutex_);
  std::function<OpenCallStats()> calls_ ABSL_GUARDED_BY(mutex_);
  std::function<TlsStats()> tls_ ABSL_GUARDED_BY(mutex_);
  std::function<IdentityStats()> identities_ ABSL_GUARDED_BY(mutex_);
  int64_t layers_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_GAUGES_H_
