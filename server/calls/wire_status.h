// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_WIRE_STATUS_H_
#define ATTEND_SERVER_CALLS_WIRE_STATUS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/status.h"

namespace attend {

// A status as it goes over the wire, by the table of status codes of attend.v1.
struct WireStatus {
  // With a google.rpc.Status that holds a google.rpc.ErrorInfo as its details.
  grpc::Status status;

  // Of the ErrorInfo.
  std::string reason;

  // For the trailer grpc-retry-pushback-ms; negative: none.
  absl::Duration retry_pushback = absl::Milliseconds(-1);

  // For the trailer x-request-id and the log.
  std::string request_id;

  absl::StatusCode code() const { return static_cast<absl::StatusCode>(status.error_code()); }
  bool is_bug() const { return status.error_code() == grpc::StatusCode::INTERNAL; }
};

// What names a call in its trailers and in the log: the caller's own metadata x-request-id, if that
// is 1 to 128 printable ASCII characters, or else a new number. Thread-safe.
std::string RequestId(const grpc::ServerContextBase& context);

// The one place that translates. Codes outside the contract are bugs of ours and
// become INTERNAL, whose message says nothing but the request id. Thread-safe.
WireStatus ToWireStatus(const absl::Status& status, std::string request_id);

// CANCELLED, the end of a call whose caller is gone and will not see it.
absl::Status CallerLeftError();

// Adds the status's trailers to a call that is about to be ended with it, and the caller's
// traceparent, as ReadTraceparent found it; empty: none.
void AddTrailers(const WireStatus& status, absl::string_view traceparent,
                 grpc::ServerContextBase& context);

// Translates and adds the trailers; what to end the call with.
grpc::Status PrepareEnd(const absl::Status& status, grpc::ServerContextBase& context);

// google.rpc.Status in protobuf's wire format, as the metadata grpc-status-details-bin carries it.
// Its details are a google.rpc.ErrorInfo (domain "attend"); with INVALID_ARGUMENT and a field, a
// google.rpc.BadRequest of that one field, whose description is the message without the field's
// name; and where the pushback is not negative, a google.rpc.RetryInfo. Written by hand: generated
// classes under google.rpc's names would clash with those of a program that has its own.
std::string EncodeErrorDetails(grpc::StatusCode code, const std::string& message,
                               const ErrorInfo& error, absl::Duration retry_pushback);

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_WIRE_STATUS_H_
