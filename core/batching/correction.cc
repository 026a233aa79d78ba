// SPDX-License-Identifier: Apache-2.0
#include "core/batching/correction.h"

#include <algorithm>
#include <cmath>

namespace attend {
namespace {

// The weight of one batch once enough of them have run; earlier ones weigh as in a plain mean.
constexpr double kWeight = 0.1;

// The bound of one batch's ratio of truth to prediction, and of its inverse.
constexpr double kMaxRatio = 8.0;

}  // namespace

void Correction::Observe(const BatchRunner* runner, double predicted_seconds, double took_seconds) {
  if (!(predicted_seconds > 0.0) || !(took_seconds > 0.0)) return;
  const double ratio = std::clamp(took_seconds / predicted_seconds, 1.0 / kMaxRatio, kMaxRatio);
  Mean& mean = means_[runner];
  ++mean.batches;
  // The first batches run with cold caches, so that even the first has but half of the weight.
  const double weight = std::max(kWeight, 1.0 / (1.0 + mean.batches));
  mean.log_factor += weight * (std::log(ratio) - mean.log_factor);
}

double Correction::Factor(const BatchRunner* runner) const {
  const auto found = means_.find(runner);
  return found == means_.end() ? 1.0 : std::exp(found->second.log_factor);
}

}  // namespace attend
