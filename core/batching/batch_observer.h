// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_BATCH_OBSERVER_H_
#define ATTEND_CORE_BATCHING_BATCH_OBSERVER_H_

#include <cstdint>

#include "absl/time/time.h"

namespace attend {

// Observes each batch that has run.
class BatchObserver {
 public:
  virtual ~BatchObserver() = default;

  // Called on an executor's thread after the batch and before its items end. A batch that was
  // stopped or failed counts neither tokens nor operations. Must be quick and thread-safe.
  virtual void OnBatch(int64_t requests, int64_t tokens, double flops, absl::Duration compute) = 0;
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_BATCH_OBSERVER_H_
