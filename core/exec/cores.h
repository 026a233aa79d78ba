// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_EXEC_CORES_H_
#define ATTEND_CORE_EXEC_CORES_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace attend {

// The number of cores that this process may keep busy, >= 1: those of its affinity mask, but no
// more than its cgroup's CPU quota allows (rounded up). Reads files.
int UsableCores();

// The quota in cores of a cgroup v2 cpu.max file, e.g. "150000 100000" -> 1.5; nullopt if there
// is none ("max 100000") or the text is malformed.
std::optional<double> ParseCpuMax(absl::string_view text);

}  // namespace attend

#endif  // ATTEND_CORE_EXEC_CORES_H_
