// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_LOAD_ESTIMATE_H_
#define ATTEND_CORE_BATCHING_LOAD_ESTIMATE_H_

#include <map>

#include "absl/time/time.h"
#include "core/batching/work_item.h"

namespace attend {

// Corrects predictions (Cost::seconds) by the batches that ran. Each runner has its own
// estimate, because predictions err differently for each kind of work.
// Recent batches count more: a change of load or of clock speed shows after about ten of them.
// Thread-compatible.
class LoadEstimate {
 public:
  void Observe(const BatchRunner* runner, double predicted, absl::Duration took);

  // Zero until a few batches of the runner have run: the first of them run with cold caches and
  // say too little to refuse anyone.
  absl::Duration Expected(const BatchRunner* runner, double predicted) const;

  // The mean of recent batches of all runners; zero if there was none.
  absl::Duration BatchDuration() const { return batch_duration_; }

 private:
  struct Rate {
    int batches = 0;
    double predicted = 0.0;  // decayed sums of seconds
    double took = 0.0;
  };
  std::map<const BatchRunner*, Rate> rates_;
  absl::Duration batch_duration_;
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_LOAD_ESTIMATE_H_
