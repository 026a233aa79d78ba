// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_ATTENTION_SERVICE_H_
#define ATTEND_SERVER_SERVICES_ATTENTION_SERVICE_H_

#include <functional>

#include "absl/strings/string_view.h"
#include "core/engine/engine.h"
#include "server/calls/calls_in_flight.h"
#include "server/calls/deadline_timer.h"
#include "server/services/attention_call.h"
#include "server/services/pipeline_calls.h"
#include "server/telemetry/metrics.h"

namespace attend {

// attend.v1.AttentionService over an Engine: decodes, submits, encodes. It reads and writes the
// bytes of messages itself, because the generated classes would copy each tensor twice.
// Thread-safe.
class AttentionService final {
 public:
  // All outlive the service. `end_if_stalled` is that of AttentionContext, and may be called until
  // the timer ends.
  AttentionService(Engine& engine, Metrics& metrics, CallsInFlight& calls, DeadlineTimer& timer,
                   const AttentionLimits& limits,
                   std::function<void(absl::string_view peer)> end_if_stalled = {});

  // The service outlives the routes.
  void AddTo(Routes& routes);

  // Ends streams once all of their requests are answered, and refuses new ones.
  void Drain() { pipelines_.Drain(); }

 private:
  CallerTable callers_;
  PipelineCalls pipelines_;
  AttentionContext shared_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_ATTENTION_SERVICE_H_
