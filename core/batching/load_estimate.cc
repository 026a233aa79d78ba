// SPDX-License-Identifier: Apache-2.0
#include "core/batching/load_estimate.h"

namespace attend {
namespace {

constexpr double kDecay = 0.9;  // halves a batch's weight after seven others
constexpr int kWarmUpBatches = 4;

}  // namespace

void LoadEstimate::Observe(const BatchRunner* runner, double work, absl::Duration took) {
  if (took <= absl::ZeroDuration()) return;
  batch_duration_ = batch_duration_ == absl::ZeroDuration()
                        ? took
                        : kDecay * batch_duration_ + (1.0 - kDecay) * took;
  if (!(work > 0.0)) return;
  Rate& rate = rates_[runner];
  ++rate.batches;
  if (rate.batches <= kWarmUpBatches) {
    rate.work = work;  // forgets the cold batches
    rate.seconds = absl::ToDoubleSeconds(took);
    return;
  }
  rate.work = kDecay * rate.work + work;
  rate.seconds = kDecay * rate.seconds + absl::ToDoubleSeconds(took);
}

absl::Duration LoadEstimate::Expected(const BatchRunner* runner, double work) const {
  const auto found = rates_.find(runner);
  if (found == rates_.end() || found->second.batches < kWarmUpBatches) {
    return absl::ZeroDuration();
  }
  return absl::Seconds(work * found->second.seconds / found->second.work);
}

}  // namespace attend
