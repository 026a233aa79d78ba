// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_SERVER_H_
#define ATTEND_SERVER_LIFECYCLE_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/layer/registry.h"
#include "server/config/server_config.h"

namespace attend {

// The whole server: layers, engine, metrics, gRPC. The program makes one; tests
// make many.
class Server {
 public:
  // Loads the layers, then listens, and serves from here on. Blocks for as long
  // as loading takes; the HTTP pages answer meanwhile, /readyz with 503. An
  // error names the setting, file or address that does not work.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config);

  // Shuts down at once, without Drain: what runs ends UNAVAILABLE.
  virtual ~Server() = default;

  // In order of --listen, with the ports in use.
  virtual const std::vector<std::string>& grpc_addresses() const = 0;
  virtual std::string metrics_address() const = 0;  // empty: none

  // Reads the files of the models again, as LayerReloader does. Does not block.
  virtual void ReloadLayers() = 0;

  // Goes out of service in steps: says NOT_SERVING and keeps answering for
  // drain_delay, so that balancers notice; then refuses new work with
  // UNAVAILABLE and finishes what it has, for drain_timeout at most; then closes
  // every connection. Blocks until done. Call it once.
  virtual void Drain() = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_SERVER_H_
