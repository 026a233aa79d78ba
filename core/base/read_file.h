// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_READ_FILE_H_
#define ATTEND_CORE_BASE_READ_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace attend {

// Returns all bytes of a file; empty if it cannot be read. For small files, such as those in which
// Linux tells of itself. Blocks.
std::string ReadFile(const std::string& path);

// Returns the first `most` bytes of a file. UNAVAILABLE with the system's words if it cannot be
// read. Blocks.
absl::StatusOr<std::string> ReadFileUpTo(size_t most, const std::string& path);

}  // namespace attend

#endif  // ATTEND_CORE_BASE_READ_FILE_H_
