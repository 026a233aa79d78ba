// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_LAYER_SERVICE_H_
#define ATTEND_SERVER_SERVICES_LAYER_SERVICE_H_

#include "absl/status/status.h"
#include "attend/v1/layer.grpc.pb.h"
#include "core/layer/registry.h"
#include "server/telemetry/metrics.h"

namespace attend {

// attend.v1.LayerService: what the registry holds. Thread-safe.
class LayerService final
    : public v1::LayerService::WithRawCallbackMethod_ListLayers<
          v1::LayerService::WithRawCallbackMethod_GetLayer<v1::LayerService::Service>> {
 public:
  // Both outlive the service.
  LayerService(const LayerRegistry& layers, Metrics& metrics)
      : layers_(layers), metrics_(metrics) {}

  grpc::ServerUnaryReactor* ListLayers(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetLayer(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;

 private:
  const LayerRegistry& layers_;
  Metrics& metrics_;
};

// What the methods answer, without gRPC. A page token is "after:" and the name of the last layer
// of the page before.
absl::Status ListLayers(const LayerRegistry& layers, const v1::ListLayersRequest& request,
                        v1::ListLayersResponse& response);
absl::Status GetLayer(const LayerRegistry& layers, const v1::GetLayerRequest& request,
                      v1::LayerInfo& response);

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_LAYER_SERVICE_H_
