// SPDX-License-Identifier: Apache-2.0
#include "core/batching/admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/batching/end_status.h"

namespace attend {
namespace {

// Expected times are averages, and half of all items take longer. An item is admitted only if it
// should end with a fifth of its time to spare, so that under overload most of the computed
// items end in time.
constexpr double kHeadroom = 1.25;

constexpr absl::Duration kMinPushback = absl::Milliseconds(1);
constexpr absl::Duration kMaxPushback = absl::Seconds(5);
constexpr absl::Duration kUnknownPushback = absl::Milliseconds(100);

absl::Duration Pushback(absl::Duration wait) {
  return wait == absl::ZeroDuration() ? kUnknownPushback
                                      : std::clamp(wait, kMinPushback, kMaxPushback);
}

bool IsFull(const Arrival& item, const Load& load, const QueueLimits& limits) {
  // The counts are subtracted, because the sum of two int64 may overflow.
  return load.queue_requests >= limits.max_requests ||
         item.bytes > limits.max_bytes - load.queue_bytes;
}

bool IsUnreachable(const Arrival& item, const Load& load) {
  if (load.executor_idle || item.expected == absl::ZeroDuration()) return false;
  if (item.expected > item.time_left) return false;
  // The item ends with its batch, which others may join while it waits.
  const absl::Duration end = load.until_free + load.ahead + std::max(item.expected, load.batch);
  return kHeadroom * end > item.time_left;
}

}  // namespace

absl::Status CheckAdmission(const Arrival& item, const Load& load, const QueueLimits& limits) {
  if (item.time_left <= absl::ZeroDuration()) return ExpiredError();
  if (IsFull(item, load, limits)) {
    return Overloaded("QUEUE_FULL",
                      absl::StrCat("the queue is full with ", load.queue_requests,
                                   " requests; try again later or use another server"),
                      Pushback(load.until_free + load.queued));
  }
  if (IsUnreachable(item, load)) {
    return Overloaded("DEADLINE_UNREACHABLE",
                      "at the current load the deadline cannot be met; allow more time or use "
                      "another server",
                      Pushback(load.until_free + load.ahead));
  }
  return absl::OkStatus();
}

}  // namespace attend
