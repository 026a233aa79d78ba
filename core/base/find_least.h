// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_FIND_LEAST_H_
#define ATTEND_CORE_BASE_FIND_LEAST_H_

#include <algorithm>
#include <limits>

namespace attend {

// How often something is measured: `min_runs` times, and up to `max_runs` times as long as all of
// them take less than `seconds` together, so that a slow machine is done soon.
struct MeasuredRuns {
  int min_runs;
  int max_runs;
  double seconds;

  // Whether another run follows `runs` of them that took `spent` seconds.
  bool Continue(int runs, double spent) const {
    return runs < min_runs || (runs < max_runs && spent < seconds);
  }
};

// Returns the least of what `measure()` returns, in seconds: interruptions only lengthen a run.
template <class Measure>
double FindLeast(const MeasuredRuns& runs, const Measure& measure) {
  double least = std::numeric_limits<double>::infinity(), spent = 0.0;
  for (int run = 0; runs.Continue(run, spent); ++run) {
    const double seconds = measure();
    spent += seconds;
    least = std::min(least, seconds);
  }
  return least;
}

}  // namespace attend

#endif  // ATTEND_CORE_BASE_FIND_LEAST_H_
