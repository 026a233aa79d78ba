// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_SERVER_SERVICE_H_
#define ATTEND_SERVER_SERVICES_SERVER_SERVICE_H_

#include "attend/v1/server.pb.h"
#include "server/calls/rpc.h"
#include "server/telemetry/metrics.h"

namespace attend {

// Routes the method of attend.v1.ServerService: what was settled at start. `metrics` outlives the
// routes.
void AddServerService(v1::ServerInfo info, Metrics& metrics, Routes& routes);

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_SERVER_SERVICE_H_
