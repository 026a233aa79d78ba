// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_ADMISSION_H_
#define ATTEND_CORE_BATCHING_ADMISSION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attend {

// The most items and bytes that may wait.
struct QueueLimits {
  int64_t max_requests = 1024;
  int64_t max_bytes = int64_t{1} << 30;
};

// The load that a new item finds. Times are expected times; zero where nothing is known.
struct Load {
  int64_t queue_requests = 0;
  int64_t queue_bytes = 0;
  bool executor_idle = false;
  absl::Duration until_free;  // time until an executor takes its next batch
  absl::Duration queued;      // time to run all queued items, on all executors
  absl::Duration ahead;       // time to run the items ahead of this one, on all executors
  absl::Duration batch;       // time to run one batch, from recent ones
};

// The properties of an item that admission depends on.
struct Arrival {
  int64_t bytes = 0;
  absl::Duration time_left = absl::InfiniteDuration();  // time until its deadline
  absl::Duration expected;                              // time to run it alone; zero: unknown
};

// Decides whether an item may join the queue. Pure: the same arguments give the same answer.
//
//  1. DEADLINE_EXCEEDED EXPIRED: no time is left.
//  2. RESOURCE_EXHAUSTED QUEUE_FULL: the item does not fit into the queue. The pushback is the
//     time in which the queue should drain.
//  3. RESOURCE_EXHAUSTED DEADLINE_UNREACHABLE: because of the work ahead of it, the item would
//     end after its deadline. The pushback is the time in which that work should have run. Never
//     returned if an executor is idle, if the item's own time is unknown, or if it alone takes
//     longer than the time that is left, whatever the load.
absl::Status CheckAdmission(const Arrival& item, const Load& load, const QueueLimits& limits);

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_ADMISSION_H_
