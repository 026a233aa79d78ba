// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_FUZZ_ERROR_BOUNDS_H_
#define ATTEND_TESTS_FUZZ_ERROR_BOUNDS_H_

#include <cstdint>
#include <vector>

#include "core/attention/problem.h"

namespace attend {

// What one query row of one head comes to in double, and how far arithmetic in
// float32 (bfloat16) may stray from it: bounds that hold for every order of
// operations, from the magnitudes of this row alone. They are wide, about
// D * 2^-24 of a score; what they catch is what is wrong, not what is imprecise.
struct RowBounds {
  // With these, NaN is right for what depends on the row; nothing but NaN is.
  bool nan = false;
  // float32 may overflow on the way where double does not: nothing can be said.
  bool overflow = false;
  // Rows that read nothing have exact results.
  bool empty = true;

  std::vector<bool> readable;                  // of keys
  std::vector<double> scaled, capped, biased;  // stages of scores, of all keys
  std::vector<double> scaled_error;            // absolute, of scaled
  std::vector<double> score_error;             // of the stages after it
  std::vector<bool> score_overflow;            // the same of one score
  std::vector<double> p, p_error;              // p_error without rounding to bfloat16
  double largest = 0;                          // score that is read
  double log_sum_exp = 0, log_sum_exp_error = 0;
  double rounded_p_error = 0;  // relative, of P as it meets values
};

RowBounds BoundRow(const AttentionProblem& problem, const SequenceProblem& sequence, int64_t head,
                   int64_t row);

}  // namespace attend

#endif  // ATTEND_TESTS_FUZZ_ERROR_BOUNDS_H_
