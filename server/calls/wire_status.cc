// SPDX-License-Identifier: Apache-2.0
#include "server/calls/wire_status.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "proto/wire/writer.h"
#include "server/calls/traceparent.h"

namespace attend {
namespace {

bool InContract(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
      return true;
    default:
      return false;
  }
}

std::string NewRequestId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return absl::StrFormat("%016x", random());
}

// google/protobuf/any.proto: type_url 1, value 2.
std::string MakeAny(absl::string_view type, absl::string_view value) {
  std::string any;
  wire_writer::AppendMessage(1, absl::StrCat("type.googleapis.com/", type), any);
  wire_writer::AppendMessage(2, value, any);
  return any;
}

// google/rpc/error_details.proto: reason 1, domain 2, map metadata 3.
std::string EncodeErrorInfo(const ErrorInfo& error) {
  std::string info;
  wire_writer::AppendMessage(1, error.reason, info);
  wire_writer::AppendMessage(2, "attend", info);
  if (!error.field.empty()) {
    std::string entry;
    wire_writer::AppendMessage(1, "field", entry);
    wire_writer::AppendMessage(2, error.field, entry);
    wire_writer::AppendMessage(3, entry, info);
  }
  return info;
}

// google/rpc/error_details.proto: field_violations 1, and in each field 1, description 2.
std::string EncodeBadRequest(absl::string_view field, absl::string_view message) {
  if (absl::ConsumePrefix(&message, field)) absl::ConsumePrefix(&message, ": ");
  std::string violation, request;
  wire_writer::AppendMessage(1, field, violation);
  wire_writer::AppendMessage(2, message, violation);
  wire_writer::AppendMessage(1, violation, request);
  return request;
}

// google/rpc/error_details.proto: retry_delay 1; google/protobuf/duration.proto: seconds 1,
// nanos 2.
std::string EncodeRetryInfo(absl::Duration delay) {
  absl::Duration rest;
  const int64_t seconds = absl::IDivDuration(delay, absl::Seconds(1), &rest);
  std::string duration, info;
  wire_writer::AppendVarintField(1, static_cast<uint64_t>(seconds), duration);
  wire_writer::AppendVarintField(2, static_cast<uint64_t>(absl::ToInt64Nanoseconds(rest)),
                                 duration);
  wire_writer::AppendMessage(1, duration, info);
  return info;
}

}  // namespace

std::string EncodeErrorDetails(grpc::StatusCode code, const std::string& message,
                               const ErrorInfo& error, absl::Duration retry_pushback) {
  using wire_writer::AppendMessage;
  // google/rpc/status.proto: code 1, message 2, repeated details 3.
  std::string status;
  wire_writer::AppendVarintField(1, static_cast<uint64_t>(code), status);
  AppendMessage(2, message, status);
  AppendMessage(3, MakeAny("google.rpc.ErrorInfo", EncodeErrorInfo(error)), status);
  if (code == grpc::StatusCode::INVALID_ARGUMENT && !error.field.empty()) {
    AppendMessage(3, MakeAny("google.rpc.BadRequest", EncodeBadRequest(error.field, message)),
                  status);
  }
  if (retry_pushback >= absl::ZeroDuration()) {
    AppendMessage(3, MakeAny("google.rpc.RetryInfo", EncodeRetryInfo(retry_pushback)), status);
  }
  return status;
}

std::string RequestId(const grpc::ServerContextBase& context) {
  constexpr size_t kMaxBytes = 128;
  const auto found = context.client_metadata().find("x-request-id");
  if (found == context.client_metadata().end()) return NewRequestId();
  const absl::string_view id(found->second.data(), found->second.size());
  const bool valid = !id.empty() && id.size() <= kMaxBytes &&
                     std::all_of(id.begin(), id.end(), absl::ascii_isprint);
  return valid ? std::string(id) : NewRequestId();
}

WireStatus ToWireStatus(const absl::Status& status, std::string request_id) {
  WireStatus wire;
  wire.request_id = std::move(request_id);
  if (status.ok()) return wire;
  ErrorInfo info = GetErrorInfo(status);
  wire.retry_pushback = GetRetryPushback(status);
  absl::StatusCode code = status.code();
  std::string message(status.message());
  if (code == absl::StatusCode::kInternal || !InContract(code)) {
    code = absl::StatusCode::kInternal;
    message = absl::StrCat("internal error; the server's log has the details under request id ",
                           wire.request_id);
    info = {};
    wire.retry_pushback = absl::Milliseconds(-1);
  }
  if (info.reason.empty()) info.reason = absl::StatusCodeToString(code);
  wire.reason = info.reason;
  const auto grpc_code = static_cast<grpc::StatusCode>(code);
  wire.status = grpc::Status(grpc_code, message,
                             EncodeErrorDetails(grpc_code, message, info, wire.retry_pushback));
  return wire;
}

absl::Status CallerLeftError() {
  return absl::CancelledError("the caller went away");
}

void AddTrailers(const WireStatus& status, absl::string_view traceparent,
                 grpc::ServerContextBase& context) {
  if (status.retry_pushback >= absl::ZeroDuration()) {
    context.AddTrailingMetadata("grpc-retry-pushback-ms",
                                absl::StrCat(absl::ToInt64Milliseconds(status.retry_pushback)));
  }
  context.AddTrailingMetadata("x-request-id", status.request_id);
  if (!traceparent.empty()) context.AddTrailingMetadata("traceparent", std::string(traceparent));
}

grpc::Status PrepareEnd(const absl::Status& status, grpc::ServerContextBase& context) {
  const WireStatus wire = ToWireStatus(status, RequestId(context));
  AddTrailers(wire, ReadTraceparent(context), context);
  return wire.status;
}

}  // namespace attend
