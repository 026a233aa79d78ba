// SPDX-License-Identifier: Apache-2.0
#include "core/batching/lane_turns.h"

#include <algorithm>

namespace attend {
namespace {

// What long work earns before it interrupts a row of short batches: as long as a task may take,
// because a suspended batch goes on for at least one.
constexpr absl::Duration kLeastTurn = absl::Milliseconds(5);

}  // namespace

void LaneTurns::Advance(absl::Time now) {
  const absl::Duration passed = now_ == absl::InfinitePast()
                                    ? absl::ZeroDuration()
                                    : std::max(now - now_, absl::ZeroDuration());
  now_ = now;
  if (turn_ < 0) return;
  lanes_[turn_].ran += passed;
  if (turn_ != kShortLane) {
    used_ += passed;
    earned_ = std::max(earned_ - passed, absl::ZeroDuration());
    paying_ &= earned_ > absl::ZeroDuration();
  } else if (CountLong() > 0) {
    earned_ += passed * (options_.long_share / (1.0 - options_.long_share));
  }
}

void LaneTurns::Begin(int lane) {
  lanes_[lane] = {true, absl::ZeroDuration()};
  if (lane == last_long_) used_ = absl::ZeroDuration();
  if (lane == kShortLane || turn_ < 0) GiveTurn(lane);
}

absl::Duration LaneTurns::End(int lane) {
  const absl::Duration ran = lanes_[lane].ran;
  lanes_[lane] = {};
  if (CountLong() == 0) earned_ = absl::ZeroDuration();
  paying_ = earned_ > absl::ZeroDuration() && (paying_ || earned_ >= kLeastTurn);
  if (lane == turn_) GiveTurn(NextLong());  // short work has the turn as long as it runs
  return ran;
}

bool LaneTurns::MayBeginShort() const {
  return !busy(kShortLane) && !paying_;
}

void LaneTurns::Rotate() {
  if (turn_ <= kShortLane || used_ < options_.slice || CountLong() < 2) return;
  GiveTurn(NextLong());
}

int LaneTurns::CountLong() const {
  return static_cast<int>(
      std::count_if(lanes_.begin() + 1, lanes_.end(), [](const Lane& lane) { return lane.busy; }));
}

absl::Time LaneTurns::NextChange() const {
  if (turn_ <= kShortLane) return absl::InfiniteFuture();
  absl::Time next = absl::InfiniteFuture();
  if (CountLong() > 1) next = now_ + std::max(options_.slice - used_, absl::ZeroDuration());
  if (paying_) next = std::min(next, now_ + earned_);
  return next;
}

// The long lane whose turn it is: the one that had it last, unless its slice is over.
int LaneTurns::NextLong() const {
  if (last_long_ > 0 && busy(last_long_) && used_ < options_.slice) return last_long_;
  for (int i = 1; i <= kLongLanes; ++i) {
    const int lane = (std::max(last_long_, 1) - 1 + i) % kLongLanes + 1;
    if (busy(lane)) return lane;
  }
  return -1;
}

void LaneTurns::GiveTurn(int lane) {
  turn_ = lane;
  if (lane <= kShortLane) return;
  if (lane != last_long_ || used_ >= options_.slice) used_ = absl::ZeroDuration();
  last_long_ = lane;
}

}  // namespace attend
