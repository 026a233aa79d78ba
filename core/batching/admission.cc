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

// How much of its expected time an item may really take in the best case. What could not even
// end in that is refused whatever the load.
constexpr double kBestCase = 1.0 / 1.5;

// How many times its own time an item may wait behind a standing queue. Long work has no use for
// a delay that only short work can keep.
constexpr double kMaxSlowdown = 16.0;

constexpr absl::Duration kMinPushback = absl::Milliseconds(1);
constexpr absl::Duration kMaxPushback = absl::Seconds(5);

absl::Duration Pushback(absl::Duration wait) {
  return std::clamp(wait, kMinPushback, kMaxPushback);
}

}  // namespace

absl::Status CheckAdmission(const Arrival& item, const Load& load, const QueueLimits& limits) {
  if (item.time_left <= absl::ZeroDuration()) return ExpiredError();
  if (kBestCase * item.expected > item.time_left) {
    return MakeError(
        absl::StatusCode::kDeadlineExceeded, "DEADLINE_TOO_SHORT", "",
        absl::StrCat("the request alone needs about ",
                     absl::FormatDuration(absl::Trunc(item.expected, absl::Milliseconds(1))),
                     ", and its deadline leaves ",
                     absl::FormatDuration(absl::Trunc(item.time_left, absl::Milliseconds(1))),
                     "; allow more time"));
  }
  if (load.wait == absl::ZeroDuration() && load.slowdown == 1.0) return absl::OkStatus();
  if (kHeadroom * (load.wait + load.slowdown * item.expected) > item.time_left) {
    return Overloaded("DEADLINE_UNREACHABLE",
                      "the server is too busy to meet this deadline; allow more time or try "
                      "another server",
                      Pushback(load.wait));
  }
  if (load.standing && load.wait > std::max(limits.target_delay, kMaxSlowdown * item.expected)) {
    return Overloaded("QUEUE_FULL",
                      "the server has more work than it can do; try again later or use another "
                      "server",
                      Pushback(load.wait));
  }
  return absl::OkStatus();
}

absl::Status QueueFullError(int64_t requests, absl::Duration drain_time) {
  return Overloaded("QUEUE_FULL",
                    absl::StrCat("the queue is full with ", requests,
                                 " requests; try again later or use another server"),
                    Pushback(drain_time));
}

absl::Status DisplacedError(absl::Duration drain_time) {
  return Overloaded("QUEUE_FULL",
                    "the queue is full, and the request gave way to one of a higher priority or "
                    "of a caller with fewer requests; try again later or use another server",
                    Pushback(drain_time));
}

}  // namespace attend
