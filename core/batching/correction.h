// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BATCHING_CORRECTION_H_
#define ATTEND_CORE_BATCHING_CORRECTION_H_

#include <map>

#include "absl/time/time.h"
#include "core/batching/work_item.h"

namespace attend {

// Corrects predicted times by what finished batches really took. Each runner has a factor of its
// own: the geometric mean of truth over prediction of its recent batches. The ratio of a batch is
// bounded, and so is its weight, so that no single batch spoils the predictions for others; very
// short batches, whose time is mostly that of waking threads, weigh less. A change of load or of
// clock speed shows after about ten batches. While no batch of a runner runs, its factor returns to
// 1: if it made the server refuse everything, nothing else would ever correct it.
// Thread-compatible.
class Correction {
 public:
  // Both times are > 0.
  void Observe(const BatchRunner* runner, double predicted_seconds, double took_seconds,
               absl::Time now);

  // The factor for a runner's predictions; 1 until a batch of it has run.
  double Factor(const BatchRunner* runner, absl::Time now) const;

 private:
  struct Mean {
    double weight = 0.0;  // of all batches
    double log_factor = 0.0;
    absl::Time observed;  // last
  };
  static double Decayed(const Mean& mean, absl::Time now);

  std::map<const BatchRunner*, Mean> means_;
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_CORRECTION_H_
