// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_HEALTH_SERVICE_H_
#define ATTEND_SERVER_SERVICES_HEALTH_SERVICE_H_

#include <set>
#include <string>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "grpc/health/v1/health.pb.h"
#include "server/calls/rpc.h"

namespace attend {

// grpc.health.v1.Health: whether the server serves, as a whole and each of its services.
// Thread-safe.
class HealthService {
 public:
  // The service outlives the routes.
  void AddTo(Routes& routes);

  // What is answered from now on, and told to those who watch. Not serving at first.
  void SetServing(bool serving);

 private:
  class WatchCall;
  using Request = grpc::health::v1::HealthCheckRequest;
  using Response = grpc::health::v1::HealthCheckResponse;

  static bool Knows(const std::string& service);
  Response State() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Check(const Request& request, Response& response);

  Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<WatchCall*> watches_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_HEALTH_SERVICE_H_
