// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_MEMORY_PLAN_H_
#define ATTEND_SERVER_CONFIG_MEMORY_PLAN_H_

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "server/config/server_config.h"

namespace attend {

// The memory of the process, in bytes.
struct ProcessMemory {
  int64_t limit = std::numeric_limits<int64_t>::max();  // what it may use in all
  int64_t held = 0;                                     // what it uses without a request
};

// Memory that no budget counts: what allocators keep, connections, stacks of threads. Measured: the
// peak of a server under many huge messages was its budgets and less than 96 MiB above the idle
// one.
inline constexpr int64_t kUncountedBytes = int64_t{128} << 20;

// Sets those of max_in_flight_bytes, max_receive_bytes and max_request_bytes that are 0: to 1 GiB,
// 768 MiB and 256 MiB, or to less, in this proportion, so that all of it fits below the limit.
// Sets max_caller_bytes, if it is 0, to half of max_in_flight_bytes.
// INVALID_ARGUMENT that names the settings if no useful size is left, or if the sizes do not fit
// together, with one line per pair that does not.
absl::Status PlanMemory(const ProcessMemory& memory, ServerConfig& config);

// Whether the sizes that are set, held and uncounted memory are within the limit.
bool FitsMemory(const ProcessMemory& memory, const ServerConfig& config);

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_MEMORY_PLAN_H_
