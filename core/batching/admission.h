// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_ADMISSION_H_
#define ATTEND_CORE_BATCHING_ADMISSION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attend {

// What may wait.
struct QueueLimits {
  int64_t max_requests = 1024;
  int64_t max_bytes = int64_t{1} << 30;
  absl::Duration max_expected = absl::Minutes(2);  // the expected time of all that waits

  // While there is a standing queue, an item is refused if it would wait for longer than this
  // and for many times its own time: a queue that does not drain only delays.
  absl::Duration target_delay = absl::Milliseconds(100);
  // A queue that has not been empty for so long is a standing one.
  absl::Duration standing_after = absl::Milliseconds(100);
};

// The load that a new item finds.
struct Load {
  bool standing = false;  // there is a standing queue of the item's class
  absl::Duration wait;    // expected until the item begins; zero: it begins at once
  double slowdown = 1.0;  // how many times its own time the item takes beside work of other classes
};

// The properties of an item that admission depends on.
struct Arrival {
  absl::Duration time_left = absl::InfiniteDuration();  // time until its deadline
  absl::Duration expected;                              // time to run it alone
};

// Decides whether an item may join a queue that has room for it. Pure: the same arguments give
// the same answer.
//
//  1. DEADLINE_EXCEEDED EXPIRED: no time is left.
//  2. DEADLINE_EXCEEDED DEADLINE_TOO_SHORT: on an idle machine the item would not end in time.
//  3. RESOURCE_EXHAUSTED DEADLINE_UNREACHABLE: because of the work ahead of it, the item would
//     end after its deadline.
//  4. RESOURCE_EXHAUSTED QUEUE_FULL: there is a standing queue, and the item would wait for
//     too long.
// The pushback of the latter two is the time in which the work ahead should have run. An item
// that begins at once is never refused by them.
absl::Status CheckAdmission(const Arrival& item, const Load& load, const QueueLimits& limits);

// RESOURCE_EXHAUSTED QUEUE_FULL with pushback, for an item that finds no room and one that gives
// up its room. `drain_time` is the expected time until the queue is empty.
absl::Status QueueFullError(int64_t requests, absl::Duration drain_time);
absl::Status DisplacedError(absl::Duration drain_time);

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_ADMISSION_H_
