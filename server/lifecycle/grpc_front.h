// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_GRPC_FRONT_H_
#define ATTEND_SERVER_LIFECYCLE_GRPC_FRONT_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/server_config.h"

namespace attend {

// The gRPC server with its settings: listeners, transport limits, health and
// reflection.
class GrpcFront {
 public:
  // Serves from here on, and health says SERVING. `services` outlive it.
  // UNAVAILABLE that names the address that cannot be had.
  static absl::StatusOr<std::unique_ptr<GrpcFront>> Start(
      const ServerConfig& config, const std::vector<grpc::Service*>& services);
  ~GrpcFront() { Shutdown(); }

  // As configured, with the ports in use.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // What health answers from now on, for the server and each of its services.
  void SetServing(bool serving);

  // Ends listening and every connection, so that calls that are left, or still
  // come, are UNAVAILABLE to their callers. Blocks until then. May be called
  // again.
  void Shutdown();

 private:
  GrpcFront() = default;

  std::unique_ptr<grpc::Server> server_;
  std::vector<std::string> addresses_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_GRPC_FRONT_H_
