// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/refusal.h"

namespace attend {
namespace {

struct Row {
  absl::string_view reason;
  Refusal refusal;
};

// Every reason of the contract, and the names of codes that errors without one have.
constexpr Row kReasons[] = {
    {"QUEUE_FULL", Refusal::kQueueFull},
    {"MEMORY", Refusal::kMemory},
    {"CALLER_MEMORY", Refusal::kCallerMemory},
    {"CALLS", Refusal::kCalls},
    {"CALLER_CALLS", Refusal::kCallerCalls},
    {"QUOTA_REQUESTS", Refusal::kQuotaRequests},
    {"QUOTA_MEMORY", Refusal::kQuotaMemory},
    {"QUOTA_COMPUTE", Refusal::kQuotaCompute},
    {"TOO_LARGE", Refusal::kTooLarge},
    {"TOO_COSTLY", Refusal::kTooCostly},
    {"EXPIRED", Refusal::kExpired},
    {"DEADLINE_UNREACHABLE", Refusal::kDeadlineUnreachable},
    {"DEADLINE_TOO_SHORT", Refusal::kDeadlineTooShort},
    {"DRAINING", Refusal::kDraining},
    {"UNDECODABLE", Refusal::kUndecodable},
    {"UNKNOWN_OPTION", Refusal::kUnknownOption},
    {"UNKNOWN_LAYER", Refusal::kUnknownLayer},
    {"UNKNOWN_SERVICE", Refusal::kUnknownService},
    {"RESPONSE_TOO_LARGE", Refusal::kResponseTooLarge},
    {"INVALID_ARGUMENT", Refusal::kInvalidArgument},
    {"MISSING_FIELD", Refusal::kInvalidArgument},
    {"TYPE_MISMATCH", Refusal::kInvalidArgument},
    {"SHAPE_MISMATCH", Refusal::kInvalidArgument},
    {"LENGTHS_MISMATCH", Refusal::kInvalidArgument},
    {"CONFLICTING_FIELDS", Refusal::kInvalidArgument},
    {"UNKNOWN_ENUM_VALUE", Refusal::kInvalidArgument},
    {"SIZE_OUT_OF_RANGE", Refusal::kInvalidArgument},
    {"INVALID_VALUE", Refusal::kInvalidArgument},
    {"DUPLICATE_ID", Refusal::kInvalidArgument},
    {"UNIMPLEMENTED", Refusal::kUnimplemented},
    {"UNAVAILABLE", Refusal::kUnavailable},
    {"NO_TOKEN", Refusal::kUnauthenticated},
    {"UNKNOWN_TOKEN", Refusal::kUnauthenticated},
    {"SCOPE", Refusal::kPermissionDenied},
    {"PRIORITY", Refusal::kPermissionDenied},
};

}  // namespace

std::optional<Refusal> FindRefusal(absl::StatusCode code, absl::string_view reason) {
  if (code == absl::StatusCode::kOk || code == absl::StatusCode::kCancelled ||
      code == absl::StatusCode::kInternal) {
    return std::nullopt;
  }
  for (const Row& row : kReasons) {
    if (row.reason == reason) return row.refusal;
  }
  return Refusal::kOther;
}

}  // namespace attend
