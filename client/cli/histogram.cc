// SPDX-License-Identifier: Apache-2.0
#include "client/cli/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace attend::cli {

// Below 2^kSubBits a bucket is one nanosecond. Above, the leading bit selects
// the power of two and the kSubBits after it the bucket.
size_t Histogram::BucketOf(int64_t ns) {
  const auto value = static_cast<uint64_t>(ns);
  if (value < uint64_t{1} << kSubBits) return value;
  const int shift = std::bit_width(value) - kSubBits - 1;
  return (static_cast<size_t>(shift) << kSubBits) + (value >> shift);
}

int64_t Histogram::UpperEnd(size_t bucket) {
  if (bucket < size_t{1} << kSubBits) return static_cast<int64_t>(bucket);
  const int shift = static_cast<int>(bucket >> kSubBits) - 1;
  const int64_t leading = static_cast<int64_t>(bucket) - (int64_t{shift} << kSubBits);
  return ((leading + 1) << shift) - 1;
}

void Histogram::Add(absl::Duration latency) {
  const int64_t longest = (int64_t{1} << kMaxBits) - 1;
  const int64_t ns = std::clamp(absl::ToInt64Nanoseconds(latency), int64_t{0}, longest);
  ++buckets_[BucketOf(ns)];
  ++count_;
  sum_ns_ += ns;
  max_ns_ = std::max(max_ns_, ns);
}

absl::Duration Histogram::mean() const {
  return absl::Nanoseconds(count_ == 0 ? 0 : sum_ns_ / count_);
}

absl::Duration Histogram::Percentile(double share) const {
  if (count_ == 0) return absl::ZeroDuration();
  const auto rank = std::max<int64_t>(
      1, static_cast<int64_t>(std::ceil(share * static_cast<double>(count_) - 1e-9)));
  int64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) return absl::Nanoseconds(std::min(UpperEnd(i), max_ns_));
  }
  return max();
}

}  // namespace attend::cli
