// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_REFUSAL_H_
#define ATTEND_SERVER_TELEMETRY_REFUSAL_H_

#include <array>
#include <cstddef>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace attend {

// Why a request was refused, or dropped without a result.
enum class Refusal {
  kQueueFull,
  kMemory,
  kCallerMemory,
  kCalls,
  kCallerCalls,
  kQuotaRequests,
  kQuotaMemory,
  kQuotaCompute,
  kTooLarge,
  kTooCostly,
  kExpired,
  kDeadlineUnreachable,
  kDeadlineTooShort,
  kDraining,
  kInvalidArgument,  // every cause that has no name of its own here
  kUndecodable,
  kUnknownOption,
  kUnknownLayer,
  kUnknownService,
  kResponseTooLarge,
  kUnimplemented,
  kUnavailable,
  kUnauthenticated,
  kPermissionDenied,
  kOther,
};

// As the label `reason` has them. Indexed by Refusal.
inline constexpr std::array<const char*, 25> kRefusalNames = {"queue_full",
                                                              "memory",
                                                              "caller_memory",
                                                              "calls",
                                                              "caller_calls",
                                                              "quota_requests",
                                                              "quota_memory",
                                                              "quota_compute",
                                                              "too_large",
                                                              "too_costly",
                                                              "expired",
                                                              "deadline_unreachable",
                                                              "deadline_too_short",
                                                              "draining",
                                                              "invalid_argument",
                                                              "undecodable",
                                                              "unknown_option",
                                                              "unknown_layer",
                                                              "unknown_service",
                                                              "response_too_large",
                                                              "unimplemented",
                                                              "unavailable",
                                                              "unauthenticated",
                                                              "permission_denied",
                                                              "other"};

inline constexpr size_t Index(Refusal refusal) {
  return static_cast<size_t>(refusal);
}

// By the error's code and the reason of its ErrorInfo, or the code's name where it has none.
// Nullopt for OK, for CANCELLED, because the caller did not want the result, and for INTERNAL.
std::optional<Refusal> FindRefusal(absl::StatusCode code, absl::string_view reason);

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_REFUSAL_H_
