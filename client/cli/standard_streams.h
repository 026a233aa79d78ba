// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_STANDARD_STREAMS_H_
#define ATTEND_CLIENT_CLI_STANDARD_STREAMS_H_

// Where an option names a file, "-" is standard input or output.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attend::cli {

// A file and the option that names it, such as "--query"; the file may be empty: not given.
struct NamedFile {
  absl::string_view option;
  absl::string_view file;
};

bool IsStandardStream(absl::string_view file);

// INVALID_ARGUMENT, ready to be printed, where more than one of the files is standard input ("-",
// or a tensor of it, "-#NAME"), or where one is and standard input is a terminal.
absl::Status CheckStandardInput(const std::vector<NamedFile>& files);

// The same for standard output. Only binary files are refused to a terminal.
absl::Status CheckStandardOutput(const std::vector<NamedFile>& files, bool is_binary);

// Reads standard input to its end.
absl::StatusOr<std::string> ReadStandardInput();

// Writes all parts to standard output, after what was printed there.
absl::Status WriteStandardOutput(const std::vector<absl::string_view>& parts);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_STANDARD_STREAMS_H_
