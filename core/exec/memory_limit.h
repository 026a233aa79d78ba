// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_EXEC_MEMORY_LIMIT_H_
#define ATTEND_CORE_EXEC_MEMORY_LIMIT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace attend {

// Returns the bytes that this process may use: the memory of the machine, but no more than the
// memory.max of its cgroup (version 2) and of the groups around it. Reads files.
int64_t MemoryLimit();

// Returns the bytes of its own that this process has in memory, without pages of files, which the
// system can read again. 0 if the system does not say. Reads a file.
int64_t HeldMemory();

// The least memory.max of a cgroup and of the groups around it. `groups` is the text of
// /proc/self/cgroup, and `root` the directory where cgroups are mounted. nullopt if no file there
// sets a limit.
std::optional<int64_t> CgroupMemoryLimit(absl::string_view groups, const std::string& root);

}  // namespace attend

#endif  // ATTEND_CORE_EXEC_MEMORY_LIMIT_H_
