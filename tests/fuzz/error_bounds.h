// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_FUZZ_ERROR_BOUNDS_H_
#define ATTEND_TESTS_FUZZ_ERROR_BOUNDS_H_

#include <cstdint>
#include <vector>

#include "core/attention/problem.h"

namespace attend {

// The results of one query row of one head in double, and the errors that float32 (bfloat16)
// arithmetic may make: bounds that hold for every order of operations, from the magnitudes of
// this row alone. They are wide, about D * 2^-24 of a score; they catch wrong results, not
// imprecise ones.
struct RowBounds {
  // If true, a result that depends on the row must be NaN.
  bool nan = false;
  // If true, float32 may overflow on the way where double does not, and nothing can be said.
  bool overflow = false;
  // Rows that read nothing have exact results.
  bool empty = true;

  std::vector<bool> readable;                  // per key
  std::vector<double> scaled, capped, biased;  // stages of scores, per key
  std::vector<double> scaled_error;            // absolute errors of scaled
  std::vector<double> score_error;             // errors of the later stages
  std::vector<bool> score_overflow;            // overflow of one score
  std::vector<double> p, p_error;              // p_error without rounding to bfloat16
  double largest = 0;                          // largest readable score
  double log_sum_exp = 0, log_sum_exp_error = 0;
  double rounded_p_error = 0;  // relative error of P when multiplied by values
};

RowBounds BoundRow(const AttentionProblem& problem, const SequenceProblem& sequence, int64_t head,
                   int64_t row);

}  // namespace attend

#endif  // ATTEND_TESTS_FUZZ_ERROR_BOUNDS_H_
