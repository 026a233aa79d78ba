// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_EXIT_CODE_H_
#define ATTEND_CLIENT_CLI_EXIT_CODE_H_

#include "absl/status/status.h"

namespace attend::cli {

// How a command ends, for scripts: each code tells what to do next.
enum ExitCode {
  kOk = 0,
  kFailed = 1,      // the server failed or is not serving; bench had no good or a wrong answer
  kUsage = 2,       // wrong options or input files: nothing was sent
  kNoAnswer = 3,    // no server answered, or it is starting or draining: try another
  kRefused = 4,     // the server would refuse this call again: correct it
  kBusy = 5,        // the server is busy: send the call again later
  kTooLate = 6,     // the server answers, but not before the deadline: allow more time
  kNotWritten = 7,  // the call worked, but an output could not be written
};

// The table for `attend --help`.
extern const char kExitCodeHelp[];

// For the error of a call. `server_answers`: whether a server is known to be there. It decides
// about a deadline that has passed, because the client notices that without the server.
ExitCode ExitCodeFor(const absl::Status& status, bool server_answers);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_EXIT_CODE_H_
