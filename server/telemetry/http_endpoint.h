// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_HTTP_ENDPOINT_H_
#define ATTEND_SERVER_TELEMETRY_HTTP_ENDPOINT_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace attend {

// What the endpoint shows. Called on its thread, which serves nobody else meanwhile.
struct HttpPages {
  std::function<std::string()> metrics;
  std::function<absl::Status()> ready;
  std::function<std::string()> status;  // HTML
};

// Beyond either of them, connections are ended, the oldest first.
struct HttpLimits {
  size_t connections = 512;
  absl::Duration time = absl::Seconds(10);  // from a connection's start to its end
};

// Where Prometheus and orchestrators look, over plain HTTP/1.1, one request per connection:
//   /         what the server is and does, for people
//   /metrics  everything that can be observed
//   /healthz  200 while the process answers at all
//   /readyz   200 while `ready()` is OK, else 503 and its message: send no new work
// Serves on a thread of its own until destroyed. A peer that sends or reads nothing holds up no
// other.
class HttpEndpoint {
 public:
  // `address` is HOST:PORT, port 0 for any free one. UNAVAILABLE that names the address where it
  // cannot be had.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Start(const std::string& address,
                                                             HttpPages pages,
                                                             const HttpLimits& limits = {});
  virtual ~HttpEndpoint() = default;

  // HOST:PORT with the port in use.
  virtual std::string address() const = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_HTTP_ENDPOINT_H_
