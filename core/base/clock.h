// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_CLOCK_H_
#define ATTEND_CORE_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace attend {

// The source of every deadline and duration in core. Thread-safe.
//
// The times are monotonic and count from an arbitrary zero: only differences are meaningful, and
// a change of the machine's wall clock expires nothing.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;

  // The machine's steady clock, which is never destroyed.
  static const Clock& Steady();
};

}  // namespace attend

#endif  // ATTEND_CORE_BASE_CLOCK_H_
