// SPDX-License-Identifier: Apache-2.0
#include "core/batching/backoff.h"

#include <algorithm>

namespace attend {
namespace {

// Requests are read again when this part of the pushback is over, so that the queue, which the
// pushback lets drain, never runs empty meanwhile.
constexpr double kUnreadPart = 0.5;
constexpr absl::Duration kMaxUnread = absl::Milliseconds(50);

// A caller is known to use a priority for so long after its last request of it.
constexpr absl::Duration kRemembered = absl::Seconds(10);

}  // namespace

void Backoff::OnArrival(uint32_t caller, Priority priority, WorkClass work_class, absl::Time now) {
  if (caller >= callers_.size()) callers_.resize(caller + 1);
  callers_[caller].last_arrival[static_cast<size_t>(priority)] = now;
  if (work_class == WorkClass::kShort) callers_[caller].last_short = now;
}

void Backoff::OnRefused(uint32_t caller, Priority priority, WorkClass work_class, absl::Time now,
                        absl::Duration pushback) {
  Caller& refused = callers_[caller];
  if (work_class == WorkClass::kLong && now - refused.last_short < kRemembered) return;
  for (size_t higher = 0; higher < static_cast<size_t>(priority); ++higher) {
    if (now - refused.last_arrival[higher] < kRemembered) return;
  }
  refused.until = now + std::min(kUnreadPart * pushback, kMaxUnread);
}

absl::Duration Backoff::Remaining(uint32_t caller, absl::Time now) const {
  if (caller >= callers_.size()) return absl::ZeroDuration();
  // A clock that was set back must not refuse a caller for long.
  return std::clamp(callers_[caller].until - now, absl::ZeroDuration(), kMaxUnread);
}

}  // namespace attend
