// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_ATTENTION_SERVICE_H_
#define ATTEND_SERVER_SERVICES_ATTENTION_SERVICE_H_

#include "attend/v1/attention.grpc.pb.h"
#include "core/engine/engine.h"
#include "server/services/attention_call.h"
#include "server/services/calls_in_flight.h"
#include "server/telemetry/metrics.h"

namespace attend {

// attend.v1.AttentionService over an Engine: decodes, submits, encodes. It
// takes raw messages, because the generated classes would copy each tensor
// twice, and its methods as streams, because gRPC calls a unary method only once
// the message is there; on the wire nothing differs. Thread-safe.
class AttentionService final : public v1::AttentionService::Service {
 public:
  // All outlive the service.
  AttentionService(Engine& engine, Metrics& metrics, CallsInFlight& calls,
                   const AttentionLimits& limits);

 private:
  // `index` is the method's place in the .proto file.
  void Serve(int index, const AttentionMethod& method);

  DeadlineTimer timer_;
  CallerTable callers_;
  AttentionContext shared_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_ATTENTION_SERVICE_H_
