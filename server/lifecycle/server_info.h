// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_SERVER_INFO_H_
#define ATTEND_SERVER_LIFECYCLE_SERVER_INFO_H_

#include "absl/time/time.h"
#include "attend/v1/server.pb.h"
#include "core/engine/engine.h"
#include "server/config/server_config.h"

namespace attend {

// What ServerService answers: this build, this machine, and every limit that a request meets. The
// sizes of `config` have been chosen by PlanMemory; `start_time` is a time of day.
v1::ServerInfo MakeServerInfo(const ServerConfig& config, Engine& engine, absl::Time start_time);

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_SERVER_INFO_H_
