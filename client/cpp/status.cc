// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/status.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "client/cpp/read_message.h"
#include "google/protobuf/duration.pb.h"
#include "proto/wire/reader.h"

namespace attend::client {
namespace {

// Payloads of absl::Status.
constexpr absl::string_view kReason = "attend/reason";
constexpr absl::string_view kDomain = "attend/domain";
constexpr absl::string_view kField = "attend/field";
constexpr absl::string_view kPushback = "attend/pushback-ms";
constexpr absl::string_view kRequestId = "attend/request-id";
constexpr absl::string_view kAttempts = "attend/attempts";

std::string Payload(const absl::Status& status, absl::string_view key) {
  const auto payload = status.GetPayload(key);
  return payload.has_value() ? std::string(*payload) : std::string();
}

// google.rpc.Status, google.protobuf.Any, google.rpc.ErrorInfo, an entry of its map
// `metadata`, and google.rpc.RetryInfo.
constexpr uint32_t kStatusCodeFieldNumber = 1;
constexpr uint32_t kStatusMessageFieldNumber = 2;
constexpr uint32_t kStatusDetailsFieldNumber = 3;
constexpr uint32_t kAnyTypeUrlFieldNumber = 1;
constexpr uint32_t kAnyValueFieldNumber = 2;
constexpr uint32_t kErrorInfoReasonFieldNumber = 1;
constexpr uint32_t kErrorInfoDomainFieldNumber = 2;
constexpr uint32_t kErrorInfoMetadataFieldNumber = 3;
constexpr uint32_t kEntryKeyFieldNumber = 1;
constexpr uint32_t kEntryValueFieldNumber = 2;
constexpr uint32_t kRetryInfoDelayFieldNumber = 1;

// More than any text of ErrorInfo has; the trailers of a call have 8 KiB.
constexpr size_t kMaxTextBytes = 8 << 10;
constexpr size_t kMaxFields = kMaxTextBytes / 2;

bool ReadText(WireReader& wire, std::string& text) {
  return internal::ReadString(wire, kMaxTextBytes, text);
}

bool ReadMetadataEntry(WireReader& wire, ErrorDetails* details) {
  std::string key;
  std::string value;
  const bool read = internal::ReadSubmessage(wire, [&](WireTag tag) {
    if (tag.type != WireType::kLength) return wire.SkipField(tag);
    if (tag.field == kEntryKeyFieldNumber) return ReadText(wire, key);
    if (tag.field == kEntryValueFieldNumber) return ReadText(wire, value);
    return wire.SkipField(tag);
  });
  if (read && key == "field") details->field = std::move(value);
  return read;
}

bool ReadInfo(absl::string_view info, ErrorDetails* details) {
  WireReader wire(WireBytes(absl::MakeConstSpan(&info, 1)), kMaxFields);
  return internal::ReadMessage(wire, [&](WireTag tag) {
    if (tag.type != WireType::kLength) return wire.SkipField(tag);
    if (tag.field == kErrorInfoReasonFieldNumber) return ReadText(wire, details->reason);
    if (tag.field == kErrorInfoDomainFieldNumber) return ReadText(wire, details->domain);
    if (tag.field == kErrorInfoMetadataFieldNumber) return ReadMetadataEntry(wire, details);
    return wire.SkipField(tag);
  });
}

struct AnyParts {
  std::string type;
  std::string value;
};

bool ReadAny(WireReader& wire, AnyParts& any) {
  return internal::ReadSubmessage(wire, [&](WireTag tag) {
    if (tag.type != WireType::kLength) return wire.SkipField(tag);
    if (tag.field == kAnyTypeUrlFieldNumber) return ReadText(wire, any.type);
    if (tag.field == kAnyValueFieldNumber) return ReadText(wire, any.value);
    return wire.SkipField(tag);
  });
}

bool ReadRetryInfo(absl::string_view info, std::optional<absl::Duration>& delay) {
  using Duration = google::protobuf::Duration;
  WireReader wire(WireBytes(absl::MakeConstSpan(&info, 1)), kMaxFields);
  int64_t seconds = 0;
  int32_t nanos = 0;
  const bool read = internal::ReadMessage(wire, [&](WireTag tag) {
    const bool is_delay = tag.field == kRetryInfoDelayFieldNumber && tag.type == WireType::kLength;
    if (!is_delay) return wire.SkipField(tag);
    return internal::ReadSubmessage(wire, [&](WireTag part) {
      if (part.type != WireType::kVarint) return wire.SkipField(part);
      if (part.field == Duration::kSecondsFieldNumber) return wire.ReadInt64(seconds);
      if (part.field == Duration::kNanosFieldNumber) return internal::ReadInt32(wire, nanos);
      return wire.SkipField(part);
    });
  });
  if (read) delay = absl::Seconds(seconds) + absl::Nanoseconds(nanos);
  return read;
}

void ReadDetail(const AnyParts& any, ErrorDetails* details) {
  if (any.type == "type.googleapis.com/google.rpc.ErrorInfo" && details->reason.empty()) {
    ErrorDetails found;
    if (!ReadInfo(any.value, &found)) return;
    details->reason = std::move(found.reason);
    details->domain = std::move(found.domain);
    details->field = std::move(found.field);
  } else if (any.type == "type.googleapis.com/google.rpc.RetryInfo") {
    ReadRetryInfo(any.value, details->pushback);
  }
}

// A google.rpc.Status. A detail that cannot be read is left out.
bool ReadStatus(absl::string_view status, int32_t* code, std::string* message,
                ErrorDetails* details) {
  WireReader wire(WireBytes(absl::MakeConstSpan(&status, 1)), kMaxFields);
  return internal::ReadMessage(wire, [&](WireTag tag) {
    if (tag.field == kStatusCodeFieldNumber && tag.type == WireType::kVarint) {
      return internal::ReadInt32(wire, *code);
    }
    if (tag.type != WireType::kLength) return wire.SkipField(tag);
    if (tag.field == kStatusMessageFieldNumber)
      return internal::ReadString(wire, status.size(), *message);
    if (tag.field != kStatusDetailsFieldNumber) return wire.SkipField(tag);
    AnyParts any;
    if (!ReadAny(wire, any)) return false;
    ReadDetail(any, details);
    return true;
  });
}

}  // namespace

ErrorDetails GetErrorDetails(const absl::Status& status) {
  ErrorDetails details;
  details.reason = Payload(status, kReason);
  details.domain = Payload(status, kDomain);
  details.field = Payload(status, kField);
  details.request_id = Payload(status, kRequestId);
  int64_t number;
  if (absl::SimpleAtoi(Payload(status, kPushback), &number)) {
    details.pushback = absl::Milliseconds(number);
  }
  if (absl::SimpleAtoi(Payload(status, kAttempts), &number)) {
    details.attempts = static_cast<int>(number);
  }
  return details;
}

namespace internal {

absl::Status WithDetails(absl::StatusCode code, absl::string_view message,
                         const ErrorDetails& details) {
  absl::Status status(code, message);
  const auto set = [&status](absl::string_view key, absl::string_view value) {
    if (!value.empty()) status.SetPayload(key, absl::Cord(value));
  };
  set(kReason, details.reason);
  set(kDomain, details.domain);
  set(kField, details.field);
  set(kRequestId, details.request_id);
  if (details.pushback.has_value()) {
    set(kPushback, absl::StrCat(absl::ToInt64Milliseconds(*details.pushback)));
  }
  if (details.attempts > 0) set(kAttempts, absl::StrCat(details.attempts));
  return status;
}

absl::Status LocalError(absl::string_view reason, absl::string_view field,
                        absl::string_view message) {
  ErrorDetails details;
  details.reason = std::string(reason);
  details.domain = "attend";
  details.field = std::string(field);
  return WithDetails(absl::StatusCode::kInvalidArgument, absl::StrCat(field, ": ", message),
                     details);
}

absl::Status UndecodableError() {
  return absl::DataLossError("the response could not be decoded");
}

absl::Status WithAttempts(const absl::Status& status, int attempts) {
  absl::Status result = status;
  if (attempts > 0) result.SetPayload(kAttempts, absl::Cord(absl::StrCat(attempts)));
  return result;
}

absl::Status ThrottledError(absl::Duration pushback) {
  return WithDetails(absl::StatusCode::kResourceExhausted,
                     "the client did not send the request, because the server refuses most "
                     "requests for its load; try again later",
                     {.reason = "CLIENT_THROTTLED", .domain = "attend", .pushback = pushback});
}

absl::Status OutOfMemoryError() {
  return absl::ResourceExhaustedError("the client has no memory for the response");
}

void ReadErrorInfo(absl::string_view serialized_status, ErrorDetails* details) {
  int32_t code = 0;
  std::string message;
  ErrorDetails found;
  if (!ReadStatus(serialized_status, &code, &message, &found)) return;
  details->reason = std::move(found.reason);
  details->domain = std::move(found.domain);
  details->field = std::move(found.field);
}

bool ReadErrorStatus(absl::string_view serialized_status, absl::Status* error,
                     ErrorDetails* details) {
  int32_t code = 0;
  std::string message;
  if (!ReadStatus(serialized_status, &code, &message, details) || code == 0) return false;
  const bool known = code > 0 && code <= static_cast<int32_t>(absl::StatusCode::kUnauthenticated);
  *error = absl::Status(known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
                        message);
  return true;
}

ErrorDetails ReadTrailers(const grpc::ClientContext& context, const grpc::Status& status) {
  ErrorDetails details;
  ReadErrorInfo(status.error_details(), &details);
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto find = [&trailers](const char* key) {
    const auto it = trailers.find(key);
    return it == trailers.end() ? absl::string_view()
                                : absl::string_view(it->second.data(), it->second.size());
  };
  int64_t pushback_ms;
  if (absl::SimpleAtoi(find("grpc-retry-pushback-ms"), &pushback_ms)) {
    details.pushback = absl::Milliseconds(pushback_ms);
  }
  details.request_id = std::string(find("x-request-id"));
  return details;
}

}  // namespace internal
}  // namespace attend::client
