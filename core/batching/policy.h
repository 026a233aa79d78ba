// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_POLICY_H_
#define ATTEND_CORE_BATCHING_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/batching/work_item.h"

namespace attend {

// A batch runs as a whole, so these limits bound how long an urgent item waits for a batch that
// has begun. Each is > 0. An item that exceeds them by itself runs alone.
struct BatchLimits {
  int64_t max_requests = 1;
  int64_t max_tokens = 1;

  // A batch stops growing when its predicted time, the sum of Cost::seconds, would exceed this.
  double target_seconds = 1.0;

  // Up to so many tokens a batch grows nevertheless: so few rows take little longer than one.
  int64_t few_tokens = 64;
};

// Indices into the queue, ascending; the two lists are disjoint.
struct BatchDecision {
  std::vector<size_t> run;
  std::vector<size_t> expired;
};

// Decides which items run next. Pure: the same arguments give the same answer. `queue` is
// ordered by priority, then by arrival.
//
//  1. An item whose deadline is not after `now` is expired and never runs. Only
//     items that the decision looks at are found expired; the rest stay.
//  2. The first live item, the head, always runs, whatever it costs. So nobody
//     is passed for ever: each batch takes the head, and an item's turn comes
//     when those before it have run.
//  3. Items of the head's group, those with its runner, join it in order, until
//     the next of them would exceed a limit. Smaller ones do not pass that one.
//  4. Nobody joins past a waiting item of higher priority: the batch would keep
//     that one waiting longer.
//
// Between priorities the order is strict: as long as there is work of priority
// 0, none of priority 1 of another group begins; its deadline ends its wait.
BatchDecision DecideBatch(absl::Span<const WorkItem> queue, const BatchLimits& limits,
                          absl::Time now);

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_POLICY_H_
