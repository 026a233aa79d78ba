// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_ADMISSION_H_
#define ATTEND_CORE_BATCHING_ADMISSION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attend {

// The most that may wait.
struct QueueLimits {
  int64_t max_requests = 1024;
  int64_t max_bytes = int64_t{1} << 30;
};

// The load that a new item finds. Times are expected ones; zero where nothing is known.
struct Load {
  int64_t queue_requests = 0;
  int64_t queue_bytes = 0;
  bool executor_idle = false;
  absl::Duration until_free;  // until an executor takes its next batch
  absl::Duration queued;      // to run all that is queued, on all executors
  absl::Duration ahead;       // to run what is queued before the item, on all executors
  absl::Duration batch;       // to run one batch, from what recent ones took
};

// What admission asks of an item.
struct Arrival {
  int64_t bytes = 0;
  absl::Duration time_left = absl::InfiniteDuration();  // until its deadline
  absl::Duration expected;                              // to run it alone; zero: unknown
};

// Decides whether an item may join the queue. Pure: the same arguments give the same answer.
//
//  1. DEADLINE_EXCEEDED EXPIRED: no time is left.
//  2. RESOURCE_EXHAUSTED QUEUE_FULL, with the time as pushback in which the queue should
//     drain: the item does not fit into the queue.
//  3. RESOURCE_EXHAUSTED DEADLINE_UNREACHABLE, with the time as pushback in which what is
//     ahead should have run: the item would end after its deadline because of what is ahead
//     of it. Never where an executor is idle, where the item's own time is unknown, or where
//     it alone takes longer than the time that is left, whatever the load.
absl::Status CheckAdmission(const Arrival& item, const Load& load, const QueueLimits& limits);

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_ADMISSION_H_
