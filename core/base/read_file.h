// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_READ_FILE_H_
#define ATTEND_CORE_BASE_READ_FILE_H_

#include <string>

namespace attend {

// Returns all bytes of a file; empty if it cannot be read. For small files, such as those in which
// Linux tells of itself. Blocks.
std::string ReadFile(const std::string& path);

}  // namespace attend

#endif  // ATTEND_CORE_BASE_READ_FILE_H_
