// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_LINEAR_PROBE_H_
#define ATTEND_CORE_LINALG_LINEAR_PROBE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/linalg/linear.h"

namespace attend::internal {

// Rows whose float32 results reveal the order in which a matmul sums: if two ways to compute it
// give the same bits for them, they sum in the same order.
struct LinearProbe {
  std::vector<std::byte> x;  // [rows, inputs] of the input's type, contiguous
  std::vector<float> bias;   // [outputs], whole column blocks; 0 beyond the config's
};

// One row repeated, with a bias that cancels its exact result: what remains is the rounding
// error of the sum. Shows whether a result depends on the row's place.
LinearProbe MakeEqualRows(const LinearConfig& config, absl::Span<const float> weight, int64_t rows);

// Different rows, without a bias. Compares `rows` times as many sums, of any magnitude.
LinearProbe MakeDifferentRows(const LinearConfig& config, int64_t rows);

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_LINEAR_PROBE_H_
