// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_CONNECTION_REFUSALS_H_
#define ATTEND_SERVER_NET_CONNECTION_REFUSALS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "server/telemetry/log_limit.h"

namespace attend {

// Why a connection was closed as soon as it was taken, or, kSilent, later.
enum class ConnectionRefusal {
  kConnections,        // ConnectionLimits::connections
  kCallerConnections,  // ConnectionLimits::per_caller
  kOpenFiles,          // the process has no file descriptor left
  kSilent,             // it never had a call, and a new one took its place
};

// As metrics and the log name them, indexed by ConnectionRefusal.
inline constexpr std::array<const char*, 4> kConnectionRefusalNames = {
    "connections", "caller_connections", "open_files", "silent"};

// How many connections were refused, indexed by ConnectionRefusal.
using ConnectionRefusalCounts = std::array<int64_t, kConnectionRefusalNames.size()>;

// Counts the connections that are refused, and logs five of each kind in a second at most.
// Thread-safe.
class ConnectionRefusals {
 public:
  // `clock` outlives this.
  explicit ConnectionRefusals(const Clock& clock);

  // `caller` is the one that CallerName tells.
  void Add(ConnectionRefusal refusal, absl::string_view caller);

  ConnectionRefusalCounts counts() const;

 private:
  std::array<LogLimit, kConnectionRefusalNames.size()> log_limits_;
  std::array<std::atomic<int64_t>, kConnectionRefusalNames.size()> counts_{};
};

}  // namespace attend

#endif  // ATTEND_SERVER_NET_CONNECTION_REFUSALS_H_
