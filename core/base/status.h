// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_STATUS_H_
#define ATTEND_CORE_BASE_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace attend {

// The part of an error that programs read, beside its code and its text for people. It travels
// in the status's payload and becomes google.rpc.ErrorInfo on the wire.
struct ErrorInfo {
  std::string reason;  // UPPER_SNAKE, stable: part of the contract
  std::string field;   // path in the request, e.g. "options.mask"; empty: none
};

// `message` says what was wrong and what is allowed; it never holds a path,
// an address or another caller's data.
absl::Status MakeError(absl::StatusCode code, absl::string_view reason, absl::string_view field,
                       absl::string_view message);

// INVALID_ARGUMENT; the message is prefixed "field: ".
absl::Status InvalidField(absl::string_view field, absl::string_view message,
                          absl::string_view reason = "INVALID_VALUE");

// RESOURCE_EXHAUSTED that tells the caller to retry after `pushback`.
absl::Status Overloaded(absl::string_view reason, absl::string_view message,
                        absl::Duration pushback);

// The reason is empty if the status carries none.
ErrorInfo GetErrorInfo(const absl::Status& status);

// Negative if the status carries no pushback: the caller should not retry.
absl::Duration GetRetryPushback(const absl::Status& status);

}  // namespace attend

// Evaluates an expression of absl::Status and returns it from the enclosing function if it is
// not OK.
#define ATTEND_RETURN_IF_ERROR(expr)                                                    \
  do {                                                                                  \
    if (absl::Status attend_status = (expr); !attend_status.ok()) return attend_status; \
  } while (false)

#define ATTEND_STATUS_CONCAT_(a, b) a##b
#define ATTEND_STATUS_CONCAT(a, b) ATTEND_STATUS_CONCAT_(a, b)

// ATTEND_ASSIGN_OR_RETURN(auto x, F()): x = F().value(), or returns its status.
#define ATTEND_ASSIGN_OR_RETURN(lhs, expr) \
  ATTEND_ASSIGN_OR_RETURN_(ATTEND_STATUS_CONCAT(attend_statusor_, __LINE__), lhs, expr)
#define ATTEND_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return std::move(tmp).status(); \
  lhs = *std::move(tmp)

#endif  // ATTEND_CORE_BASE_STATUS_H_
