// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_STATUS_INFO_H_
#define ATTEND_SERVER_LIFECYCLE_STATUS_INFO_H_

#include "core/layer/registry.h"
#include "server/config/server_config.h"
#include "server/telemetry/status_page.h"

namespace attend {

// What the status page tells of this build, these layers and these settings.
StatusInfo DescribeServer(const ServerConfig& config, const LayerRegistry& registry);

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_STATUS_INFO_H_
