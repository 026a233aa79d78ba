// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_CORRECTION_H_
#define ATTEND_CORE_BATCHING_CORRECTION_H_

#include <map>

#include "core/batching/work_item.h"

namespace attend {

// Corrects predicted times by what finished batches really took. Each runner has a factor of its
// own: the geometric mean of truth over prediction of its recent batches. A batch counts by its
// ratio alone and not by its size, and the ratio is bounded, so that no single batch, and no
// caller with a few strange requests, spoils the predictions for others. A change of load or of
// clock speed shows after about ten batches. Thread-compatible.
class Correction {
 public:
  // Both times are > 0.
  void Observe(const BatchRunner* runner, double predicted_seconds, double took_seconds);

  // The factor for a runner's predictions; 1 until a batch of it has run.
  double Factor(const BatchRunner* runner) const;

 private:
  struct Mean {
    int batches = 0;
    double log_factor = 0.0;
  };
  std::map<const BatchRunner*, Mean> means_;
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_CORRECTION_H_
