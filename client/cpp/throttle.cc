// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/throttle.h"

#include <algorithm>

namespace attend::client::internal {

double ThrottleProbability(double requests, double accepts, double requests_per_accept) {
  constexpr double kPadding = 8;
  return std::max(0.0, (requests - requests_per_accept * accepts) / (requests + kPadding));
}

int64_t AdaptiveThrottle::StepAt(absl::Duration now) const {
  absl::Duration remainder;
  return absl::IDivDuration(now, policy_.window / kSlots, &remainder);
}

AdaptiveThrottle::Slot& AdaptiveThrottle::SlotAt(absl::Duration now) {
  const int64_t step = StepAt(now);
  Slot& slot = slots_[static_cast<size_t>(step % kSlots)];
  if (slot.step != step) slot = Slot{.step = step};
  return slot;
}

bool AdaptiveThrottle::Admit(absl::Duration now, double uniform) {
  const int64_t oldest = StepAt(now) - kSlots;
  double requests = 0;
  double accepts = 0;
  for (const Slot& slot : slots_) {
    if (slot.step <= oldest) continue;
    requests += slot.requests;
    accepts += slot.accepts;
  }
  if (uniform >= ThrottleProbability(requests, accepts, policy_.requests_per_accept)) return true;
  ++SlotAt(now).requests;
  return false;
}

void AdaptiveThrottle::RecordAccept(absl::Duration now) {
  Slot& slot = SlotAt(now);
  ++slot.requests;
  ++slot.accepts;
}

void AdaptiveThrottle::RecordRefusal(absl::Duration now) {
  ++SlotAt(now).requests;
}

}  // namespace attend::client::internal
