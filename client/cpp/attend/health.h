// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_HEALTH_H_
#define ATTEND_CLIENT_CPP_ATTEND_HEALTH_H_

namespace attend::client {

// The answers of grpc.health.v1, with its numbers.
enum class HealthStatus { kUnknown = 0, kServing = 1, kNotServing = 2, kServiceUnknown = 3 };

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_HEALTH_H_
