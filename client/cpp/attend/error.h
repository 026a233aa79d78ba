// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_ERROR_H_
#define ATTEND_CLIENT_CPP_ATTEND_ERROR_H_

// What a failed call says beside its code and message, for programs: the code
// tells what to do next (the table in attend/v1/attention.proto).

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attend::client {

struct ErrorDetails {
  // The server's google.rpc.ErrorInfo; empty where it sent none, for example
  // because the call never reached it.
  std::string reason = {};  // UPPER_SNAKE
  std::string domain = {};  // "attend"
  std::string field = {};   // the request's field that was wrong

  // How long the server asks to wait before trying again; absent: it did not
  // ask, and RESOURCE_EXHAUSTED then means "too large, never again".
  std::optional<absl::Duration> pushback = {};

  // Names this request in the server's log: CallOptions.request_id, or the
  // server's own; empty where neither is known.
  std::string request_id = {};

  // Calls made, retries included; 0 for an error found before sending.
  int attempts = 0;
};

// Of a status that this library returned; of any other status: all empty.
ErrorDetails GetErrorDetails(const absl::Status& status);

// Whether a status that this library returned means load, so that the same request
// may succeed later. Every other RESOURCE_EXHAUSTED means that a message is too large
// or that memory is lacking here.
bool IsOverload(const absl::Status& status);

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_ERROR_H_
