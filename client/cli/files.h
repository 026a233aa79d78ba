// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_FILES_H_
#define ATTEND_CLIENT_CLI_FILES_H_

// Files by name, where "-" is standard input or output. Errors name the file: NOT_FOUND,
// PERMISSION_DENIED and others as the system says.

#include <cstdint>
#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attend::cli {

// A file that is read from its start. Standard input and pipes are in memory as a whole.
struct InputFile {
  std::string name;  // for errors
  std::unique_ptr<std::istream> stream;
  int64_t size_bytes = 0;
};

// INVALID_ARGUMENT where the path is no file, such as a folder.
absl::StatusOr<InputFile> OpenFile(const std::string& path);

absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

// Replaces the file.
absl::Status WriteFile(const std::string& path, const std::vector<absl::string_view>& parts);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_FILES_H_
