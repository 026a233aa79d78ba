// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_GRPC_FRONT_H_
#define ATTEND_SERVER_LIFECYCLE_GRPC_FRONT_H_

#include <grpcpp/server.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/calls/call_queue.h"
#include "server/config/server_config.h"

namespace attend {

// The gRPC server with its settings: listeners, transport limits and the threads that receive.
class GrpcFront {
 public:
  // Serves `routes` from here on. What they and `overloaded`, which must be thread-safe and not
  // block, refer to outlives it. UNAVAILABLE that names the address that cannot be had.
  static absl::StatusOr<std::unique_ptr<GrpcFront>> Start(const ServerConfig& config, Routes routes,
                                                          std::function<bool()> overloaded);
  ~GrpcFront() { Shutdown(); }

  // As configured, with the ports in use.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Ends listening and every connection, so that calls that are left, or still
  // come, are UNAVAILABLE to their callers. Blocks until then. May be called
  // again.
  void Shutdown();

 private:
  explicit GrpcFront(Routes routes) : routes_(std::move(routes)) {}

  const Routes routes_;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::unique_ptr<CallQueue>> queues_;  // end before the server does
  std::vector<std::string> addresses_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_GRPC_FRONT_H_
