// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_LANE_TURNS_H_
#define ATTEND_CORE_BATCHING_LANE_TURNS_H_

#include <algorithm>
#include <array>

#include "absl/time/time.h"

namespace attend {

// An executor runs its batches on lanes, each with threads of its own. One lane at a time has the
// turn; the batches of the others are suspended between two tasks.
inline constexpr int kShortLane = 0;  // runs short batches, one after another
inline constexpr int kLongLanes = 4;  // the others, numbered from 1 on, run long batches in turns
inline constexpr int kLanes = 1 + kLongLanes;

struct TurnOptions {
  double long_share = 0.25;  // of the time in which both short and long work waits; in [0, 1)
  absl::Duration slice = absl::Milliseconds(20);  // of a long batch while others wait
};

// Decides which lane of an executor has the turn. A pure state machine: time and events are told.
//
// 1. Short work goes first, without interruption.
// 2. While it runs and long work waits, long work earns time, so that it gets `long_share` of
//    the time of both. Once it has earned as much as a few tasks take, no further short batch
//    starts until that time is paid.
// 3. Long batches take turns, a slice each.
class LaneTurns {
 public:
  explicit LaneTurns(const TurnOptions& options) : options_(options) {}

  // Counts the time until `now` for the lane that has the turn. Precedes all of the following. A
  // clock that goes back counts nothing.
  void Advance(absl::Time now);

  // A batch begins on a lane that has none, or ends. Both decide anew who has the turn.
  void Begin(int lane);
  // Returns how long the batch had the turn.
  absl::Duration End(int lane);

  // Whether a short batch may begin now: no other runs, and long work has been paid.
  bool MayBeginShort() const;

  // Passes the turn on if the slice of its lane is over.
  void Rotate();

  // The lane that has the turn; -1: none.
  int turn() const { return turn_; }
  bool busy(int lane) const { return lanes_[lane].busy; }
  int CountLong() const;
  // How long the lane's batch has had the turn, until the last Advance or until `now`.
  absl::Duration ran(int lane) const { return lanes_[lane].ran; }
  absl::Duration RanUntil(int lane, absl::Time now) const {
    return ran(lane) +
           (lane == turn_ ? std::max(now - now_, absl::ZeroDuration()) : absl::ZeroDuration());
  }

  // When Rotate would pass the turn on, or MayBeginShort would become true, if nothing else
  // happens. InfiniteFuture: never.
  absl::Time NextChange() const;

 private:
  struct Lane {
    bool busy = false;
    absl::Duration ran;  // with the turn, in this batch
  };

  int NextLong() const;
  void GiveTurn(int lane);

  const TurnOptions options_;
  std::array<Lane, kLanes> lanes_;
  int turn_ = -1;
  int last_long_ = 0;      // the long lane that had the turn last
  absl::Duration used_;    // of the slice of last_long_
  absl::Duration earned_;  // by long work
  bool paying_ = false;    // short work waits until long work has used what it earned
  absl::Time now_ = absl::InfinitePast();
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_LANE_TURNS_H_
