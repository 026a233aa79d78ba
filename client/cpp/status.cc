// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/status.h"

#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"

namespace attend::client {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

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

// Calls `field(number, bytes)` for each length-delimited field; stops where the
// bytes are not a message.
template <typename Field>
void ForEachBytesField(absl::string_view message, Field field) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(message.data()),
                      static_cast<int>(message.size()));
  while (const uint32_t tag = in.ReadTag()) {
    if ((tag & 7) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&in, tag)) return;
      continue;
    }
    std::string bytes;
    if (!WireFormatLite::ReadBytes(&in, &bytes)) return;
    field(static_cast<int>(tag >> 3), std::move(bytes));
  }
}

// One entry of ErrorInfo.metadata: key = 1, value = 2.
void ReadMetadataEntry(absl::string_view entry, ErrorDetails* details) {
  std::string key;
  std::string value;
  ForEachBytesField(entry, [&](int field, std::string bytes) {
    if (field == 1) {
      key = std::move(bytes);
    } else if (field == 2) {
      value = std::move(bytes);
    }
  });
  if (key == "field") details->field = std::move(value);
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

void ReadErrorInfo(absl::string_view serialized_status, ErrorDetails* details) {
  // google.rpc.Status: details = 3 (Any: type_url = 1, value = 2).
  // google.rpc.ErrorInfo: reason = 1, domain = 2, metadata = 3 (map entry: 1, 2).
  bool found = false;
  ForEachBytesField(serialized_status, [&](int status_field, const std::string& any) {
    if (status_field != 3 || found) return;
    std::string type;
    std::string value;
    ForEachBytesField(any, [&](int field, std::string bytes) {
      if (field == 1) {
        type = std::move(bytes);
      } else if (field == 2) {
        value = std::move(bytes);
      }
    });
    if (type != "type.googleapis.com/google.rpc.ErrorInfo") return;
    found = true;
    ForEachBytesField(value, [&](int field, std::string bytes) {
      if (field == 1) {
        details->reason = std::move(bytes);
      } else if (field == 2) {
        details->domain = std::move(bytes);
      } else if (field == 3) {
        ReadMetadataEntry(bytes, details);
      }
    });
  });
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
