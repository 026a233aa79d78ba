#include "core/batching/load_estimate.h"

namespace attend {
namespace {

constexpr double kDecay = 0.9;  // halves a batch's weight after seven others
constexpr int kWarmUpBatches = 4;

}  // namespace

void LoadEstimate::Observe(const void* group, double flops, absl::Duration took) {
  if (took <= absl::ZeroDuration()) return;
  batch_duration_ = batch_duration_ == absl::ZeroDuration()
                        ? took
                        : kDecay * batch_duration_ + (1.0 - kDecay) * took;
  if (!(flops > 0.0)) return;
  Rate& rate = rates_[group];
  ++rate.batches;
  if (rate.batches <= kWarmUpBatches) {
    rate.flops = flops;  // forget the cold ones
    rate.seconds = absl::ToDoubleSeconds(took);
    return;
  }
  rate.flops = kDecay * rate.flops + flops;
  rate.seconds = kDecay * rate.seconds + absl::ToDoubleSeconds(took);
}

absl::Duration LoadEstimate::Expected(const void* group, double flops) const {
  const auto found = rates_.find(group);
  if (found == rates_.end() || found->second.batches < kWarmUpBatches) {
    return absl::ZeroDuration();
  }
  return absl::Seconds(flops * found->second.seconds / found->second.flops);
}

}  // namespace attend
