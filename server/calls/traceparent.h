// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_TRACEPARENT_H_
#define ATTEND_SERVER_CALLS_TRACEPARENT_H_

#include <grpcpp/server_context.h>

#include "absl/strings/string_view.h"

namespace attend {

// Whether the text is a traceparent of version 00 (W3C Trace Context, section 3.2).
bool IsTraceparent(absl::string_view text);

// The caller's metadata traceparent; empty if it has none, more than one, or one that is not valid,
// which the W3C asks to be ignored. Borrows from the context. Thread-safe.
absl::string_view ReadTraceparent(const grpc::ServerContextBase& context);

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_TRACEPARENT_H_
