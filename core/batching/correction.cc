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

// Batches that are predicted to take less than this weigh in proportion to their time.
constexpr double kFullWeightSeconds = 1e-3;

// The time in which half of what was learnt is forgotten while nothing is observed.
constexpr absl::Duration kHalfLife = absl::Seconds(10);

}  // namespace

double Correction::Decayed(const Mean& mean, absl::Time now) {
  const absl::Duration age = std::max(now - mean.observed, absl::ZeroDuration());
  return mean.log_factor * std::exp2(-absl::FDivDuration(age, kHalfLife));
}

void Correction::Observe(const BatchRunner* runner, double predicted_seconds, double took_seconds,
                         absl::Time now) {
  if (!(predicted_seconds > 0.0) || !(took_seconds > 0.0)) return;
  const double ratio = std::clamp(took_seconds / predicted_seconds, 1.0 / kMaxRatio, kMaxRatio);
  const double size = std::min(predicted_seconds / kFullWeightSeconds, 1.0);
  Mean& mean = means_[runner];
  const double before = mean.weight > 0.0 ? Decayed(mean, now) : 0.0;
  mean.weight += size;
  // The first batches run with cold caches, so that even the first has but half of the weight.
  const double weight = size * std::max(kWeight, 1.0 / (1.0 + mean.weight));
  mean.log_factor = before + weight * (std::log(ratio) - before);
  mean.observed = now;
}

double Correction::Factor(const BatchRunner* runner, absl::Time now) const {
  const auto found = means_.find(runner);
  return found == means_.end() ? 1.0 : std::exp(Decayed(found->second, now));
}

}  // namespace attend
