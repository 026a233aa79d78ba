// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_SERVER_SERVICE_H_
#define ATTEND_SERVER_SERVICES_SERVER_SERVICE_H_

#include <utility>

#include "attend/v1/server.grpc.pb.h"
#include "server/telemetry/metrics.h"

namespace attend {

// attend.v1.ServerService: what was settled at start. Thread-safe.
class ServerService final
    : public v1::ServerService::WithRawCallbackMethod_GetServerInfo<v1::ServerService::Service> {
 public:
  // `metrics` outlives the service.
  ServerService(v1::ServerInfo info, Metrics& metrics)
      : info_(std::move(info)), metrics_(metrics) {}

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;

 private:
  const v1::ServerInfo info_;
  Metrics& metrics_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_SERVER_SERVICE_H_
