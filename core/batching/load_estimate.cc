// SPDX-License-Identifier: Apache-2.0
#include "core/batching/load_estimate.h"

namespace attend {
namespace {

constexpr double kDecay = 0.9;  // halves a batch's weight after seven others
constexpr int kWarmUpBatches = 4;

}  // namespace

void LoadEstimate::Observe(const BatchRunner* runner, double predicted, absl::Duration took) {
  if (took <= absl::ZeroDuration()) return;
  batch_duration_ = batch_duration_ == absl::ZeroDuration()
                        ? took
                        : kDecay * batch_duration_ + (1.0 - kDecay) * took;
  if (!(predicted > 0.0)) return;
  Rate& rate = rates_[runner];
  ++rate.batches;
  if (rate.batches <= kWarmUpBatches) {
    rate.predicted = predicted;  // forgets the cold batches
    rate.took = absl::ToDoubleSeconds(took);
    return;
  }
  rate.predicted = kDecay * rate.predicted + predicted;
  rate.took = kDecay * rate.took + absl::ToDoubleSeconds(took);
}

absl::Duration LoadEstimate::Expected(const BatchRunner* runner, double predicted) const {
  const auto found = rates_.find(runner);
  if (found == rates_.end() || found->second.batches < kWarmUpBatches) {
    return absl::ZeroDuration();
  }
  return absl::Seconds(predicted * found->second.took / found->second.predicted);
}

}  // namespace attend
