// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_BACKOFF_H_
#define ATTEND_CORE_BATCHING_BACKOFF_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "core/batching/priority.h"
#include "core/batching/work_item.h"

namespace attend {

// Remembers which callers were refused because of load. Until a part of the time that they were
// told to wait is over, their requests can be refused before they are read: most of the cost of a
// refusal is receiving the request.
//
// Nothing is known of a request that was not read. So a caller who sends requests of several
// priorities is remembered only if one of its highest priority was refused, and one who also sends
// short requests only if a short one was. Thread-compatible.
class Backoff {
 public:
  void OnArrival(uint32_t caller, Priority priority, WorkClass work_class, absl::Time now);

  // Follows OnArrival of the same request.
  void OnRefused(uint32_t caller, Priority priority, WorkClass work_class, absl::Time now,
                 absl::Duration pushback);

  // How long the caller's requests are still refused unread; zero: they are read.
  absl::Duration Remaining(uint32_t caller, absl::Time now) const;

 private:
  struct Caller {
    absl::Time last_short = absl::InfinitePast();
    absl::Time until = absl::InfinitePast();
    std::array<absl::Time, kPriorities> last_arrival = {absl::InfinitePast(), absl::InfinitePast(),
                                                        absl::InfinitePast()};  // by priority
  };

  std::vector<Caller> callers_;  // indexed by caller
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_BACKOFF_H_
