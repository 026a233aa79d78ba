// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_GRPC_FRONT_H_
#define ATTEND_SERVER_LIFECYCLE_GRPC_FRONT_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/calls/call_queue.h"
#include "server/calls/deadline_timer.h"
#include "server/config/server_config.h"
#include "server/net/connections.h"
#include "server/net/open_calls.h"
#include "server/security/certificates.h"
#include "server/security/identities.h"
#include "server/telemetry/metrics.h"

namespace attend {

// The gRPC server with its settings: connections, transport limits and the threads that receive.
class GrpcFront {
 public:
  // Listens, and serves `routes` once Serve is called. What they and `overloaded`, which must be
  // thread-safe and not block, refer to outlives the front, as do `timer`, which tells calls their
  // deadlines, `metrics`, and `certificates`, which are nullptr where TCP addresses are served in
  // plain text, and `identities`, which are nullptr where calls need no token. `memory_bytes` is
  // ConnectionLimits::memory_bytes. UNAVAILABLE that names the address that cannot be had.
  static absl::StatusOr<std::unique_ptr<GrpcFront>> Listen(
      const ServerConfig& config, const Certificates* certificates, const Identities* identities,
      Routes routes, DeadlineTimer& timer, Metrics& metrics, std::function<bool()> overloaded,
      int64_t memory_bytes);
  ~GrpcFront() { Shutdown(); }

  // Takes connections and calls from here on. To be called once.
  absl::Status Serve();

  // As configured, with the ports in use.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Connections::EndIfStalled, stats and CanAccept.
  void EndIfStalled(absl::string_view peer) { connections_->EndIfStalled(peer); }
  ConnectionStats connection_stats() const { return connections_->stats(); }
  absl::Status CanAccept() const { return connections_->CanAccept(); }

  OpenCallStats call_stats() const { return open_calls_.stats(); }

  // Ends listening and every connection, so that calls that are left, or still
  // come, are UNAVAILABLE to their callers. Blocks until then. May be called
  // again.
  void Shutdown();

 private:
  using Acceptor = std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor>;

  GrpcFront(Routes routes, const OpenCallLimits& limits)
      : routes_(std::move(routes)), open_calls_(limits) {}

  const Routes routes_;
  OpenCalls open_calls_;
  grpc::AsyncGenericService service_;
  Acceptor tcp_, unix_;  // what gRPC takes connections over with
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::unique_ptr<CallQueue>> queues_;  // end before the server does
  std::unique_ptr<Connections> connections_;
  std::vector<std::string> addresses_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_GRPC_FRONT_H_
