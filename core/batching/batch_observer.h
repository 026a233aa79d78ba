// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_BATCH_OBSERVER_H_
#define ATTEND_CORE_BATCHING_BATCH_OBSERVER_H_

#include <cstdint>

#include "absl/time/time.h"

namespace attend {

// A batch that has run.
struct BatchRecord {
  int64_t requests = 0;
  int64_t tokens = 0;       // 0 if the batch was stopped or failed
  double flops = 0.0;       // likewise
  absl::Duration expected;  // predicted time, corrected by what past work took
  absl::Duration compute;   // time in which it was computed, without suspensions
  bool computed = false;    // as a whole
  bool helped = false;      // by executors that `expected` does not count on
};

// Observes each batch that has run.
class BatchObserver {
 public:
  virtual ~BatchObserver() = default;

  // Called on the lane's thread after the batch and before its items end. Must be quick and
  // thread-safe.
  virtual void OnBatch(const BatchRecord& batch) = 0;
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_BATCH_OBSERVER_H_
