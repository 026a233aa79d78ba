// SPDX-License-Identifier: Apache-2.0
#include "server/services/server_service.h"

#include <utility>

#include "server/calls/message_call.h"

namespace attend {

void AddServerService(v1::ServerInfo info, Metrics& metrics, Routes& routes) {
  routes[MethodPath(Method::kGetServerInfo)] =
      AnswerWith(AnswerMessages<v1::GetServerInfoRequest, v1::ServerInfo>(
                     [info = std::move(info)](const auto&, auto& out) {
                       out = info;
                       return absl::OkStatus();
                     }),
                 metrics, Method::kGetServerInfo);
}

}  // namespace attend
