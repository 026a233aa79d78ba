// SPDX-License-Identifier: Apache-2.0
#include "server/services/server_service.h"

#include "server/services/message_call.h"

namespace attend {

grpc::ServerUnaryReactor* ServerService::GetServerInfo(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  return AnswerMessage<v1::GetServerInfoRequest, v1::ServerInfo>(metrics_, Method::kGetServerInfo,
                                                                 *context, *request, *response,
                                                                 [this](const auto&, auto& out) {
                                                                   out = info_;
                                                                   return absl::OkStatus();
                                                                 });
}

}  // namespace attend
