// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_REFLECTION_SERVICE_H_
#define ATTEND_SERVER_SERVICES_REFLECTION_SERVICE_H_

#include "server/calls/rpc.h"

namespace attend {

// Routes grpc.reflection.v1alpha.ServerReflection, and its successor v1 whose messages have the
// same bytes: what tools such as grpcurl ask. To be called after all other services were added: it
// lists those that are in `routes`.
void AddReflectionService(Routes& routes);

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_REFLECTION_SERVICE_H_
