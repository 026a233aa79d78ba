// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_LAYER_SERVICE_H_
#define ATTEND_SERVER_SERVICES_LAYER_SERVICE_H_

#include "absl/status/status.h"
#include "attend/v1/layer.pb.h"
#include "core/layer/registry.h"
#include "server/calls/rpc.h"
#include "server/telemetry/metrics.h"

namespace attend {

// Routes the methods of attend.v1.LayerService: what the registry holds. Both outlive the routes.
void AddLayerService(const LayerRegistry& layers, Metrics& metrics, Routes& routes);

// What the methods answer, without gRPC. A page token is "after:" and the name of the last layer
// of the page before.
absl::Status ListLayers(const LayerRegistry& layers, const v1::ListLayersRequest& request,
                        v1::ListLayersResponse& response);
absl::Status GetLayer(const LayerRegistry& layers, const v1::GetLayerRequest& request,
                      v1::LayerInfo& response);

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_LAYER_SERVICE_H_
