#ifndef ATTEND_CORE_BATCHING_LOAD_ESTIMATE_H_
#define ATTEND_CORE_BATCHING_LOAD_ESTIMATE_H_

#include <map>

#include "absl/time/time.h"

namespace attend {

// How long work takes, learned from batches that ran. Per group, because a flop
// of a short decode costs many times one of a long prefill. Recent batches count
// more: a change of load or of clock speed shows after about ten of them.
// Thread-compatible.
class LoadEstimate {
 public:
  void Observe(const void* group, double flops, absl::Duration took);

  // Zero until a few batches of the group were seen: the first of them run with
  // cold caches and say too little to refuse anyone.
  absl::Duration Expected(const void* group, double flops) const;

  // Of recent batches of any group; zero where there was none.
  absl::Duration BatchDuration() const { return batch_duration_; }

 private:
  struct Rate {
    int batches = 0;
    double flops = 0.0;  // decayed sums
    double seconds = 0.0;
  };
  std::map<const void*, Rate> rates_;  // groups are few: layers
  absl::Duration batch_duration_;
};

}  // namespace attend

#endif  // ATTEND_CORE_BATCHING_LOAD_ESTIMATE_H_
