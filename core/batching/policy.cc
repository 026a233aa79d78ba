// SPDX-License-Identifier: Apache-2.0
#include "core/batching/policy.h"

#include <algorithm>
#include <optional>

namespace attend {

BatchDecision DecideBatch(absl::Span<const WorkItem> queue, const BatchLimits& limits,
                          absl::Time now) {
  BatchDecision decision;
  const WorkItem* head = nullptr;
  Cost total;
  std::optional<uint32_t> passed;  // priority of the first item left waiting
  for (size_t i = 0; i < queue.size(); ++i) {
    const WorkItem& item = queue[i];
    if (static_cast<int64_t>(decision.run.size()) >= limits.max_requests) break;
    if (passed.has_value() && item.priority > *passed) break;
    if (item.deadline <= now) {
      decision.expired.push_back(i);
      continue;
    }
    if (head != nullptr) {
      if (item.runner != head->runner) {
        if (!passed.has_value()) passed = item.priority;
        continue;
      }
      // The counts are subtracted, because the sum of two int64 may overflow.
      const int64_t few = std::min(limits.few_tokens, limits.max_tokens);
      const bool in_time = item.cost.seconds <= limits.target_seconds - total.seconds;
      if (item.cost.tokens > limits.max_tokens - total.tokens ||
          (!in_time && item.cost.tokens > few - total.tokens)) {
        break;
      }
    } else {
      head = &item;
    }
    decision.run.push_back(i);
    total.tokens += item.cost.tokens;
    total.seconds += item.cost.seconds;
  }
  return decision;
}

}  // namespace attend
