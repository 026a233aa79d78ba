// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_STATUS_H_
#define ATTEND_CLIENT_CPP_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "attend/error.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

namespace attend::client::internal {

// INVALID_ARGUMENT found before sending; the message is "field: message".
absl::Status LocalError(absl::string_view reason, absl::string_view field,
                        absl::string_view message);

// `message` with `details` attached, for GetErrorDetails.
absl::Status WithDetails(absl::StatusCode code, absl::string_view message,
                         const ErrorDetails& details);

// DATA_LOSS: what the server sent is no response.
absl::Status UndecodableError();

// RESOURCE_EXHAUSTED: memory for a response is lacking here, not at the server.
absl::Status OutOfMemoryError();

// Reads the reason, domain and field of the first google.rpc.ErrorInfo in a
// serialized google.rpc.Status. Anything undecodable leaves them empty: it must
// not hide the error itself. Walks the bytes because linking googleapis' generated
// classes would clash with a program that brings its own.
void ReadErrorInfo(absl::string_view serialized_status, ErrorDetails* details);

// Reads a serialized google.rpc.Status: its code and message into `error`, which is
// never OK, and the ErrorInfo and the RetryInfo among its details into `details`,
// as ReadErrorInfo does. False where the bytes are no Status with a code but OK.
bool ReadErrorStatus(absl::string_view serialized_status, absl::Status* error,
                     ErrorDetails* details);

// The same status with the number of attempts among its details.
absl::Status WithAttempts(const absl::Status& status, int attempts);

// RESOURCE_EXHAUSTED, reason CLIENT_THROTTLED: a request is not sent because the
// server refused most of the last ones for load. `pushback` is among its details.
absl::Status ThrottledError(absl::Duration pushback);

// What the trailers of a finished call say.
ErrorDetails ReadTrailers(const grpc::ClientContext& context, const grpc::Status& status);

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_STATUS_H_
