// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_HTTP_ENDPOINT_H_
#define ATTEND_SERVER_TELEMETRY_HTTP_ENDPOINT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attend {

// Where Prometheus and orchestrators look, over plain HTTP:
//   /metrics  everything that can be observed
//   /healthz  200 while the process answers at all
//   /readyz   200 while `ready()` is OK, else 503 and its message: send no new work
// Serves on threads of its own until destroyed.
class HttpEndpoint {
 public:
  // `address` is HOST:PORT, port 0 for any free one. The functions are called
  // on the endpoint's threads. UNAVAILABLE that names the address where it
  // cannot be had.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Start(absl::string_view address,
                                                             std::function<std::string()> metrics,
                                                             std::function<absl::Status()> ready);
  virtual ~HttpEndpoint() = default;

  // HOST:PORT with the port in use.
  virtual std::string address() const = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_HTTP_ENDPOINT_H_
