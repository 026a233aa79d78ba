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

// What is left free of a memory limit: a quarter of it, 64 MiB at least and 384 MiB at most.
// Between two looks at the memory that the process holds, hostile peers make it grow by so much:
// the system would otherwise end the process before it can end a connection.
int64_t SpareBytes(int64_t limit);

// Sets those of max_in_flight_bytes, max_receive_bytes and max_request_bytes that are 0: to 1 GiB,
// 768 MiB and 256 MiB, or to less, in this proportion, so that all of it fits below the limit with
// what is spared.
// Sets max_caller_bytes, if it is 0, to half of max_in_flight_bytes.
// INVALID_ARGUMENT that names the settings if no useful size is left, or if the sizes do not fit
// together, with one line per pair that does not.
absl::Status PlanMemory(const ProcessMemory& memory, ServerConfig& config);

// Whether the sizes that are set, held, uncounted and spared memory are within the limit.
bool FitsMemory(const ProcessMemory& memory, const ServerConfig& config);

// Returns what the process may hold before connections end for it: all budgets of a planned
// configuration, what they do not count, and what a reload of layers holds; with sizes that do not
// fit the limit, less, so that it is kept. Never so little that an idle process holds it.
int64_t MostHeldBytes(const ProcessMemory& memory, const ServerConfig& config,
                      int64_t reload_bytes);

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_MEMORY_PLAN_H_
