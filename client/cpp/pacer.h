// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_PACER_H_
#define ATTEND_CLIENT_CPP_PACER_H_

#include "absl/time/time.h"

namespace attend::client::internal {

// Time and chance, so that tests need neither. Thread-safe.
class Pacer {
 public:
  virtual ~Pacer() = default;

  // The time since an arbitrary zero on a steady clock: a change of the
  // machine's wall clock neither ends nor prolongs a call.
  virtual absl::Duration Now() = 0;

  // A random number in [0, 1).
  virtual double Uniform() = 0;

  // Called before each wait of `planned`; returns how long to wait really.
  virtual absl::Duration Wait(absl::Duration planned) = 0;

  // The system's, which is never destroyed.
  static Pacer& Real();
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_PACER_H_
