// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_THROTTLE_H_
#define ATTEND_CLIENT_CPP_THROTTLE_H_

#include <array>
#include <cstdint>

#include "absl/time/time.h"
#include "attend/options.h"

namespace attend::client::internal {

// max(0, (requests - requests_per_accept * accepts) / (requests + 8)): equation
// 21-1 of the SRE book, "Client request rejection probability", with 8 in place
// of 1, as gRPC's own route lookup client has it, so that a handful of refused
// requests proves nothing. Pure.
double ThrottleProbability(double requests, double accepts, double requests_per_accept);

// Adaptive throttling (SRE book, chapter 21): counts requests and accepts over
// a sliding window. Times come from one steady clock. Thread-compatible.
class AdaptiveThrottle {
 public:
  explicit AdaptiveThrottle(const ThrottlingPolicy& policy) : policy_(policy) {}

  // Whether to send a request at time `now`; false counts it as a request that
  // was not accepted. `uniform` is a random number in [0, 1).
  bool Admit(absl::Duration now, double uniform);

  // After an attempt that the server answered, and one that it refused for load.
  void RecordAccept(absl::Duration now);
  void RecordRefusal(absl::Duration now);

 private:
  // The window slides in steps of a sixteenth of its length.
  static constexpr int64_t kSlots = 16;

  struct Slot {
    int64_t step = -1;  // which one the counts belong to
    double requests = 0;
    double accepts = 0;
  };

  int64_t StepAt(absl::Duration now) const;
  Slot& SlotAt(absl::Duration now);

  const ThrottlingPolicy policy_;
  std::array<Slot, kSlots> slots_;
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_THROTTLE_H_
