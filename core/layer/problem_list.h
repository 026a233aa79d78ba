#ifndef ATTEND_CORE_LAYER_PROBLEM_LIST_H_
#define ATTEND_CORE_LAYER_PROBLEM_LIST_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "core/attention/problem.h"

namespace attend::internal {

// The problems of a batch. What one batch allocated serves the next, so that a warm
// batch allocates nothing here. Thread-compatible.
class ProblemList {
 public:
  // Forgets the problems and keeps their memory, up to a bound.
  void Clear();

  // The next problem. Its sequences are empty; all other fields are whatever an earlier
  // batch left there. Valid until the next call.
  AttentionProblem& Add();

  // Those added since Clear. Valid until the next call of another function.
  absl::Span<const AttentionProblem* const> pointers();

 private:
  size_t used_ = 0;
  std::vector<AttentionProblem> problems_;
  std::vector<const AttentionProblem*> pointers_;
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LAYER_PROBLEM_LIST_H_
