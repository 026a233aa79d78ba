// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_ATTENTION_SERVICE_H_
#define ATTEND_SERVER_SERVICES_ATTENTION_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>

#include "attend/v1/attention.grpc.pb.h"
#include "core/engine/engine.h"
#include "server/services/attention_call.h"
#include "server/services/calls_in_flight.h"
#include "server/telemetry/metrics.h"

namespace attend {

// attend.v1.AttentionService over an Engine: decodes, submits, encodes. It
// takes raw messages, because the generated classes would copy each tensor
// twice; on the wire nothing differs. Thread-safe.
class AttentionService final
    : public v1::AttentionService::WithRawCallbackMethod_MultiHeadAttention<
          v1::AttentionService::WithRawCallbackMethod_ScaledDotProductAttention<
              v1::AttentionService::Service>> {
 public:
  // All outlive the service.
  AttentionService(Engine& engine, Metrics& metrics, CallsInFlight& calls,
                   const AttentionLimits& limits)
      : engine_(engine), metrics_(metrics), calls_(calls), limits_(limits) {}

  grpc::ServerUnaryReactor* MultiHeadAttention(grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ScaledDotProductAttention(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) override;

 private:
  Engine& engine_;
  Metrics& metrics_;
  CallsInFlight& calls_;
  const AttentionLimits limits_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_ATTENTION_SERVICE_H_
