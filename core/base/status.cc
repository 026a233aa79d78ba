// SPDX-License-Identifier: Apache-2.0
#include "core/base/status.h"

#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"

namespace attend {
namespace {

constexpr char kReason[] = "attend/reason";
constexpr char kField[] = "attend/field";
constexpr char kPushbackMs[] = "attend/retry-pushback-ms";

std::string PayloadOrEmpty(const absl::Status& status, absl::string_view url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  return payload.has_value() ? std::string(*payload) : std::string();
}

}  // namespace

absl::Status MakeError(absl::StatusCode code, absl::string_view reason, absl::string_view field,
                       absl::string_view message) {
  absl::Status status(code, message);
  status.SetPayload(kReason, absl::Cord(reason));
  if (!field.empty()) status.SetPayload(kField, absl::Cord(field));
  return status;
}

absl::Status InvalidField(absl::string_view field, absl::string_view message,
                          absl::string_view reason) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason, field,
                   absl::StrCat(field, ": ", message));
}

absl::Status Overloaded(absl::string_view reason, absl::string_view message,
                        absl::Duration pushback) {
  absl::Status status = MakeError(absl::StatusCode::kResourceExhausted, reason, "", message);
  status.SetPayload(kPushbackMs, absl::Cord(absl::StrCat(absl::ToInt64Milliseconds(pushback))));
  return status;
}

ErrorInfo GetErrorInfo(const absl::Status& status) {
  return {PayloadOrEmpty(status, kReason), PayloadOrEmpty(status, kField)};
}

absl::Duration GetRetryPushback(const absl::Status& status) {
  int64_t ms = 0;
  if (!absl::SimpleAtoi(PayloadOrEmpty(status, kPushbackMs), &ms)) return absl::Milliseconds(-1);
  return absl::Milliseconds(ms);
}

}  // namespace attend
