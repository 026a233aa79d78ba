// SPDX-License-Identifier: Apache-2.0
#include "client/cli/exit_code.h"

#include "attend/error.h"

namespace attend::cli {

const char kExitCodeHelp[] =
    R"(Exit codes:
  0  The command has done what it was asked for.
  1  The server failed, or it is not serving.
  2  An option or an input file is wrong; nothing was sent.
  3  No server answered, or it is starting or draining: try another server.
  4  The server refused the call and would refuse it again: correct the call.
  5  The server is busy: send the call again later.
  6  The server answers, but not before the deadline: allow more time.
  7  The call worked, but an output could not be written.
)";

ExitCode ExitCodeFor(const absl::Status& status, bool server_answers) {
  const client::ErrorDetails details = client::GetErrorDetails(status);
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kUnavailable:
      return kNoAnswer;
    case absl::StatusCode::kDeadlineExceeded:
      return server_answers ? kTooLate : kNoAnswer;
    case absl::StatusCode::kResourceExhausted:
      if (client::IsOverload(status)) return kBusy;
      // Without attempts it is this program that lacks memory.
      return details.attempts > 0 ? kRefused : kFailed;
    case absl::StatusCode::kInvalidArgument:
      return details.attempts > 0 ? kRefused : kUsage;
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kRefused;
    default:
      return kFailed;
  }
}

}  // namespace attend::cli
